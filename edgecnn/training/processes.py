"""Several processes that train one network together: how many, on what, and who is who."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.strategies import DDPStrategy

from edgecnn_runtime.errors import InputError

ACCELERATORS = ("auto", "cpu", "gpu")


@dataclass(frozen=True)
class Processes:
    """One process for each device of each machine, by DistributedDataParallel.

    Lightning starts them by running the same command again, unless torchrun or SLURM has.

    Attributes:
        accelerator: `auto` takes GPUs where there are any; `cpu`; `gpu`.
        devices: GPUs of a machine, or processes on its CPU.
        nodes: machines.
    """

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1

    @property
    def world(self) -> int:
        return self.devices * self.nodes

    @property
    def gpu(self) -> bool:
        """Whether training runs on NVIDIA's GPUs."""
        return self.accelerator != "cpu" and torch.cuda.is_available()

    @property
    def rank(self) -> int:
        """Of this process; known before the processes have met."""
        if self.world == 1:
            return 0
        if "RANK" in os.environ:  # torchrun
            return int(os.environ["RANK"])
        if SLURMEnvironment.detect():
            return int(os.environ["SLURM_PROCID"])
        node, local = (int(os.environ.get(name, "0")) for name in ("NODE_RANK", "LOCAL_RANK"))
        return node * self.devices + local

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    @property
    def first_here(self) -> bool:
        """Whether this is the first process of its machine."""
        return self.rank % self.devices == 0

    def check(self, batch: int) -> None:
        """Raise InputError for devices that are not there, or a batch that they cannot share.

        Args:
            batch: the recipe's, of all processes together.
        """
        if self.accelerator not in ACCELERATORS:
            raise InputError(
                f"accelerator {self.accelerator!r}; expected one of: {', '.join(ACCELERATORS)}"
            )
        gpus = torch.cuda.device_count()
        if self.accelerator == "gpu" and not (gpus or torch.backends.mps.is_available()):
            raise InputError("--accelerator gpu, and PyTorch finds no GPU; see: edgecnn doctor")
        if self.gpu and self.devices > gpus:
            raise InputError(
                f"--devices {self.devices}, and this machine has {gpus} GPU"
                f"{'s' * (gpus != 1)}; expected no more, or --accelerator cpu"
            )
        started = os.environ.get("WORLD_SIZE", "1")
        if "TORCHELASTIC_RUN_ID" in os.environ and int(started) != self.world:
            raise InputError(
                f"torchrun started {started} processes, --devices {self.devices} times --nodes"
                f" {self.nodes} are {self.world}; expected the same number"
            )
        if batch % self.world:
            raise InputError(
                f"{self.world} processes cannot share a batch of {batch} evenly; expected a"
                f" multiple, such as --batch {-(-batch // self.world) * self.world}"
            )

    def said(self, batch: int, lr: float) -> str | None:
        """What becomes of the recipe's batch, for people to read; None for one process."""
        if self.world == 1:
            return None
        where = f"{self.devices} {'GPUs' if self.gpu else 'processes'}"
        where += f" on each of {self.nodes} machines" if self.nodes > 1 else ""
        return (
            f"{where}, which share each batch of {batch}: {batch // self.world} images each; so the"
            f" rate stays {lr:g}"
        )

    def trainer_settings(self, *, rests: bool) -> dict[str, Any]:
        """Arguments of Lightning's Trainer.

        Args:
            rests: whether there are steps in which parts of the network get no gradient.
        """
        together = self.world > 1
        mps_alone = together and not self.gpu  # DDP has no way for Apple's GPUs
        return {
            "accelerator": "cpu" if mps_alone else self.accelerator,
            "devices": self.devices,
            "num_nodes": self.nodes,
            "strategy": DDPStrategy(find_unused_parameters=rests) if together else "auto",
            "sync_batchnorm": together and self.gpu,  # PyTorch has none for CPUs
            "use_distributed_sampler": False,  # ours gives each process its share
            # A run is stopped and goes on by our own checkpoint, not by one in the working folder.
            "plugins": [SLURMEnvironment(auto_requeue=False)]
            if together and SLURMEnvironment.detect()
            else [],
        }
