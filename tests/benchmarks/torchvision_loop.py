"""`edgecnn train` against a plain PyTorch loop as torchvision's reference scripts have it.

The same network, JPEG files, recipe and batch: mobilenet_v1 of width 0.25 at 96 pixels on 900 files
of 192x192. Time is that of the whole loop, with evaluation and a checkpoint at each epoch, without
imports; pairs have seeds of their own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from itertools import count
from pathlib import Path
from typing import Any

import harness
import numpy as np
from harness import CACHE, HERE, Sample, Target, run
from learned import difference
from torchvision_programs import CROP, TRAIN, VAL

PROGRAMS = HERE / "torchvision_programs.py"
DATA = CACHE / f"terrain-files-{TRAIN}-{VAL}-{CROP}"
FOLDER = CACHE / "torchvision_loop"
RECIPE = """
epochs = {epochs}
batch_size = 32
optimizer = "sgd"
lr = 0.05
weight_decay = 5e-4
schedule = "onecycle"

[augment]
crop_scale = [0.35, 1.0]
crop_aspect = [0.75, 1.333]
hflip = true
"""


class Program:
    """One of the two; each call has the next seed."""

    def __init__(self, which: str, epochs: int) -> None:
        self.which, self.images, self.seeds = which, 3 * TRAIN * epochs, count()
        self.right: list[Any] = []

    def __call__(self) -> Sample:
        out, seed = FOLDER / self.which, next(self.seeds)
        shutil.rmtree(out, ignore_errors=True)
        command = [sys.executable, PROGRAMS, self.which, DATA, FOLDER / "recipe.toml", out, seed]
        finished = run([str(part) for part in command])
        result = json.loads(finished.stdout.splitlines()[-1])
        self.right.append(np.array(result["right"]))
        return {
            "ms_per_image": 1000 * result["seconds"] / self.images,
            "process_ms_per_image": 1000 * finished.wall_s / self.images,
            "peak_mb": finished.peak_mb,
        }


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=4)
    asked = parser.parse_args()
    if not DATA.exists():
        run([sys.executable, PROGRAMS, "data", str(DATA)])
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "recipe.toml").write_text(RECIPE.format(epochs=asked.epochs))
    ours, theirs = Program("ours", asked.epochs), Program("theirs", asked.epochs)
    mine, other = harness.alternate(ours, theirs, asked.pairs)
    images_per_second = {
        name: round(1000 / statistics.median(s["ms_per_image"] for s in samples), 1)
        for name, samples in (("ours", mine), ("theirs", other))
    }
    top1 = {p.which: round(float(np.mean(p.right)), 4) for p in (ours, theirs)}
    against = difference(theirs.right, ours.right)
    packages = ("torch", "torchvision", "numpy")
    status = harness.report(
        "torchvision_loop",
        "edgecnn train against torchvision's reference loop, mobilenet_v1 0.25-96, batch 32",
        harness.measures(mine, other, [Target("ms_per_image", 1.0)]),
        pairs=asked.pairs,
        versions={"both": harness.versions_of(Path(sys.executable), "edgecnn", *packages)},
        notes={
            "epochs": asked.epochs,
            "images_per_second": images_per_second,
            "top1": {**top1, "ours_less_theirs": against},
        },
    )
    print(f"  images per second {images_per_second}; top-1 {top1}, ours less theirs {against}")
    return status


if __name__ == "__main__":
    sys.exit(main())
