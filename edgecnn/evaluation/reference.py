"""PyTorch itself as a backend, to hold the others against: as it is, compiled, and on a GPU."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgecnn.evaluation.deployed import Deployed
from edgecnn.training.run import Run, is_run, load_network, read_run
from edgecnn_runtime.backends import REFERENCES
from edgecnn_runtime.bundle import open_bundle, read_golden
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import BackendError, InputError, one_line, unknown_name
from edgecnn_runtime.latency.device import cores
from edgecnn_runtime.manifest import ImageManifest, Input, Manifest, Model

log = logging.getLogger("edgecnn")

FRAMES = 16  # of the held-out ones, as many as a bundle has golden frames
SAME = 1e-3  # a bundle whose answers are further from a run's was made from other weights


class TorchBackend:
    """Runs a network in FP32: uint8 (N, H, W, C) -> probabilities (N, classes).

    PyTorch has one number of threads for the whole process: `close` gives it back as it was.

    Args:
        name: one of `REFERENCES`.
        network: float (N, C, H, W) -> logits, in evaluation mode.
        threads: of the CPU.

    Raises:
        BackendError: it cannot run here; what is missing.
    """

    def __init__(self, name: str, network: nn.Module, spec: Input, threads: int) -> None:
        _require(name)
        self.name = name
        self.input_shape = (spec.height, spec.width, spec.channels)
        self._device = "cuda" if name == "torch-cuda" else "cpu"
        self._before: tuple[int, bool] | None = (
            torch.get_num_threads(),
            torch.backends.cudnn.allow_tf32,
        )
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = False  # FP32 means FP32, as in the other backends
        self._forward: nn.Module | None = None
        try:
            self._forward = self._made(Deployed(network, spec).eval().to(self._device))
        except BaseException:
            self.close()
            raise

    def _made(self, deployed: nn.Module) -> nn.Module:
        if self.name != "torch-compile":
            return deployed
        from torch._inductor import config

        log.warning("torch.compile goes first, which may take a minute")
        # It looks for CUDA's compiler, and tells of its absence as if one had asked for it.
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
        deployed.compile()
        try:
            # With one thread it compiles in this process: no workers stay beside what is measured.
            with torch.inference_mode(), config.patch(compile_threads=1):
                deployed(torch.zeros(1, *self.input_shape, dtype=torch.uint8))
        except Exception as error:  # of PyTorch's compiler or of the C++ one
            raise BackendError(f"torch.compile fails on this network: {one_line(error)}") from error
        return deployed

    def infer(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, H, W, C) uint8 -> (N, classes) float32."""
        assert self._forward is not None, "it is closed"
        with torch.inference_mode():
            answers: torch.Tensor = self._forward(torch.from_numpy(frames).to(self._device))
            found: NDArray[np.float32] = answers.cpu().numpy()  # waits for the GPU
        return found

    def close(self) -> None:
        """Let go of the network. A second call does nothing."""
        if self._before is not None:
            threads, torch.backends.cudnn.allow_tf32 = self._before
            torch.set_num_threads(threads)
        self._forward, self._before = None, None


def _require(name: str) -> None:
    """Refuse what cannot run here.

    Raises:
        BackendError: there is no compiler, or no GPU that this PyTorch can use.
    """
    if name == "torch-cuda" and not torch.cuda.is_available():
        built = torch.version.cuda
        why = "finds none" if built else "is built without CUDA"
        raise BackendError(
            f"backend 'torch-cuda' needs an NVIDIA GPU, and this PyTorch {torch.__version__} {why}"
        )
    if name == "torch-compile":
        usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
        compiler = os.environ.get("CXX") or usual
        if shutil.which(compiler) is None:
            raise BackendError(
                f"backend 'torch-compile' needs a C++ compiler, and there is no {compiler!r} on the"
                f" path: sudo apt-get install g++, or name another in the variable CXX"
            )


def open_reference(target: str, name: str, *, threads: int | None = None) -> Classifier:
    """Open a run on PyTorch, with the device's own preprocessing.

    Args:
        target: a run folder, or a bundle whose manifest names the run that it was made from.
        name: one of `REFERENCES`.
        threads: of the CPU; all cores by default.

    Raises:
        BackendError: it cannot run here, or the bundle's run is gone or was trained on since.
        InputError: no such backend, or the run cannot be read.
    """
    if name not in REFERENCES:
        raise unknown_name("reference", name, REFERENCES)
    folder = target
    if is_run(target):
        run = read_run(folder)
        network, manifest = load_network(folder, run), _described(run)
    else:
        folder, manifest = _run_of(target, name)
        try:
            network = load_network(folder, read_run(folder))
        except InputError as error:  # the bundle is well without it
            raise BackendError(f"the run of {target} cannot be opened: {error}") from error
    backend = TorchBackend(name, network, manifest.input, threads or cores())
    try:
        if folder != target:
            _check_same(target, folder, backend)
        return Classifier(manifest, backend)
    except BaseException:
        backend.close()
        raise


def _run_of(target: str, name: str) -> tuple[str, Manifest]:
    """The run of a bundle, and its manifest without the graphs."""
    manifest = open_bundle(target).manifest
    if isinstance(manifest, ImageManifest):
        raise BackendError(f"backend {name!r} runs a run, and {target} is a filter")
    folder = manifest.provenance.get("run")
    advice = "name a run folder in place of the bundle"
    if not isinstance(folder, str):
        raise BackendError(f"backend {name!r} runs a run, and {target} was not made from one")
    if not is_run(folder):
        raise BackendError(
            f"backend {name!r} runs a run, and that of {target}, {folder}, is not here; {advice}"
        )
    # PyTorch takes what comes out of the preprocessing, where a graph may take camera frames.
    spec = msgspec.structs.replace(manifest.input, frame=None)
    return folder, msgspec.structs.replace(manifest, input=spec, artifacts=())


def _described(run: Run) -> Manifest:
    size = run.input.height, run.input.width
    model = Model(name=run.model, width=run.width, resolution=size, parameters=0)
    return Manifest(
        model=model, input=run.input, labels=run.labels, weights="trained", artifacts=()
    )


def _check_same(target: str, folder: str, backend: TorchBackend) -> None:
    """Two networks are not to be compared as one."""
    bundle = open_bundle(target)
    if bundle.manifest.golden is None:
        return
    golden = read_golden(bundle)
    answers = np.concatenate([backend.infer(frame[None]) for frame in golden.inputs])
    if answers.shape != golden.probabilities.shape or (
        np.abs(answers - golden.probabilities).max() > SAME
    ):
        raise BackendError(
            f"{folder} answers otherwise than {target}: it was trained on since; export the bundle"
            " again"
        )


def reference_frames(folder: str | Path) -> tuple[NDArray[np.uint8], ...]:
    """Held-out frames of a run: uint8 (H, W, 3) BGR, of any size.

    Raises:
        InputError: its data cannot be loaded.
    """
    from edgecnn.data import load_data
    from edgecnn.data.splits import some_frames

    run = read_run(folder)
    return tuple(some_frames(load_data(run.data, run.seed).val, FRAMES))
