"""Images a second of `edgecnn train` on a GPU, against torchvision's reference loop with --amp.

MobileNetV1 1.0-224, batch 256, synthetic images, AMP on both sides; mean over the steps after
WARM, with the GPU waited for at both ends, without evaluation. Theirs gets what its presets make of
images: float32, normalised, by a loader of 16 workers. Ours gets uint8 and normalises on the GPU.
Writes results/gpu_training.json where there is a GPU. `--device cpu --batch 4 --steps 4` tries the
script itself on any machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
from harness import Sample, Target, run

MODEL, SIDE, CLASSES, FRAMES = "mobilenet_v1", 224, 1000, 64
WARM = 10  # steps: cuDNN looks for its kernels, workers start
AT_LEAST = 1.2  # times theirs
RECIPE = """
epochs = 1
batch_size = {batch}
optimizer = "sgd"
lr = 0.045
momentum = 0.9
weight_decay = 4e-5
schedule = "constant"
amp = true
"""


class Clock:
    """Seconds between the end of step WARM and that of the last one."""

    def __init__(self, device: str, warm: int) -> None:
        self.device, self.warm, self.steps = device, warm, 0
        self.began = self.ended = 0.0

    def step(self, *, last: bool) -> None:
        import torch

        self.steps += 1
        if self.steps == self.warm or last:
            if self.device == "cuda":
                torch.cuda.synchronize()
            now = time.perf_counter()
            self.began, self.ended = (self.began, now) if last else (now, now)

    @property
    def seconds_a_step(self) -> float:
        return (self.ended - self.began) / (self.steps - self.warm)


def ours(asked: argparse.Namespace) -> float:
    import numpy as np
    from lightning import Callback

    from edgecnn.commands.train import describe
    from edgecnn.data.splits import DataSet
    from edgecnn.training.fit import fit
    from edgecnn.training.processes import Processes

    count = asked.batch * (WARM + asked.steps)
    clock = Clock(asked.device, WARM)
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, SIDE, SIDE, 3), np.uint8)

    @dataclass(frozen=True)
    class Synthetic:
        length: int

        def __len__(self) -> int:
            return self.length

        @property
        def targets(self) -> Any:
            return np.arange(self.length) % CLASSES

        def frame(self, index: int, rng: object = None) -> Any:
            return frames[index % FRAMES]

    class Watch(Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            clock.step(last=clock.steps + 1 == WARM + asked.steps)

    labels = tuple(str(i) for i in range(CLASSES))
    data = DataSet("synthetic", labels, Synthetic(count), Synthetic(asked.batch), "default", {})
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "recipe.toml"
        recipe.write_text(RECIPE.format(batch=asked.batch))
        described = describe(data, MODEL, resolution=str(SIDE), recipe=str(recipe))
        processes = Processes(accelerator="cpu" if asked.device == "cpu" else "auto")
        out = Path(folder) / "run"
        fit(described, data, out, progress=False, watchers=[Watch()], processes=processes)
    return clock.seconds_a_step


def theirs(asked: argparse.Namespace) -> float:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Dataset

    from edgecnn.models import build
    from edgecnn_runtime.latency.device import cores

    images = torch.randn(FRAMES, 3, SIDE, SIDE)

    class Synthetic(Dataset[Any]):
        def __len__(self) -> int:
            return int(asked.batch * (WARM + asked.steps))

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return images[index % FRAMES], index % CLASSES

    is_gpu = asked.device == "cuda"
    workers = min(16, cores())
    loader = DataLoader(
        Synthetic(), asked.batch, shuffle=True, num_workers=workers, pin_memory=is_gpu
    )
    network = build(MODEL, num_classes=CLASSES).to(asked.device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), 0.045, momentum=0.9, weight_decay=4e-5)
    scaler = torch.amp.GradScaler(asked.device, enabled=is_gpu)
    clock = Clock(asked.device, WARM)
    network.train()
    for images_cpu, classes in loader:
        image, target = images_cpu.to(asked.device), classes.to(asked.device)
        with torch.autocast(asked.device, torch.float16, enabled=is_gpu):
            output = network(image)
            loss = criterion(output, target)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        best = output.topk(5, 1).indices.eq(target[:, None])  # its meters, at every step
        best[:, :1].float().sum().item(), best.float().sum().item(), loss.item()
        clock.step(last=clock.steps + 1 == WARM + asked.steps)
    return clock.seconds_a_step


def main() -> int:
    """Measure, print and write."""
    import torch

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("program", nargs="?", choices=("ours", "theirs"))
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--pairs", type=int, default=3)
    asked = parser.parse_args()
    if asked.program:
        seconds = ours(asked) if asked.program == "ours" else theirs(asked)
        print(json.dumps({"ms_per_image": 1000 * seconds / asked.batch}))
        return 0
    if asked.device == "cuda" and not torch.cuda.is_available():
        print("no NVIDIA GPU is here: nothing is measured")
        return 0

    def program(which: str) -> Sample:
        options = ["--device", asked.device, "--batch", str(asked.batch)]
        command = [sys.executable, __file__, which, *options, "--steps", str(asked.steps)]
        return dict(json.loads(run(command).stdout.splitlines()[-1]))

    mine, other = harness.alternate(lambda: program("ours"), lambda: program("theirs"), asked.pairs)
    target = [Target("ms_per_image", round(1 / AT_LEAST, 4))]
    found = harness.measures(mine, other, target)
    if asked.device == "cpu":
        print(json.dumps(found["ms_per_image"]), "\nno GPU is here: nothing is written")
        return 0
    return harness.report(
        "gpu_training",
        f"edgecnn train against torchvision's reference loop, {MODEL} 1.0-224, AMP",
        found,
        pairs=asked.pairs,
        versions={"both": harness.versions_of(Path(sys.executable), "edgecnn", "torch")},
        notes={"gpu": torch.cuda.get_device_name(), "batch": asked.batch, "steps": asked.steps},
    )


if __name__ == "__main__":
    sys.exit(main())
