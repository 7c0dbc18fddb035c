"""What the benchmarks of training share: a run, what it has right, and differences over seeds."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
from harness import CACHE, RESULTS, ROOT
from numpy.typing import NDArray

from edgecnn.commands.train import describe
from edgecnn.data import DataSet
from edgecnn.data.splits import some_frames
from edgecnn.evaluation.intervals import resample
from edgecnn.evaluation.predict import in_pytorch, predict_all
from edgecnn.training.fit import fit
from edgecnn.training.run import load_network, read_run

Right = NDArray[np.bool_]  # (held-out images,)
FOLDER = CACHE / "training"


@dataclass(frozen=True)
class Learned:
    """A run: the weights of its last epoch, so that the held-out images have chosen nothing."""

    run: Path
    right: Right
    seconds: float

    @property
    def top1(self) -> float:
        return float(self.right.mean())


def train(data: DataSet, model: str, name: str, **options: Any) -> Learned:
    """Train as `edgecnn train` does, and see what the last weights have right."""
    out = FOLDER / name
    shutil.rmtree(out, ignore_errors=True)
    result = fit(describe(data, model, **options), data, out)
    learned = Learned(out, right(out, data), result.seconds)
    print(f"{name}: top-1 {learned.top1:.4f}, {learned.seconds:.0f} s", file=sys.stderr, flush=True)
    return learned


def right(out: Path, data: DataSet) -> Right:
    """Which held-out images the weights of the last epoch have right."""
    run = read_run(out)
    answers = in_pytorch(load_network(out, run, "last"), run.input)
    called = predict_all(answers, some_frames(data.val)).argmax(1)
    return np.asarray(called == data.val.targets)


def summary(runs: Sequence[Learned]) -> dict[str, Any]:
    return {
        "top1": round(statistics.mean(run.top1 for run in runs), 4),
        "top1_of_each": [round(run.top1, 4) for run in runs],
        "minutes": round(statistics.mean(run.seconds for run in runs) / 60, 2),
    }


def difference(first: Sequence[Right], second: Sequence[Right]) -> dict[str, Any]:
    """The mean top-1 of some runs less that of others on the same images, paired by seed.

    The interval of 95% resamples images and seeds: both would be others another time.
    """
    change = np.stack([b.astype(float) - a for a, b in zip(first, second, strict=True)])
    means = np.concatenate(
        [change @ weights / change.shape[1] for weights in resample(change.shape[1])], 1
    )
    seeds = np.random.default_rng(0).integers(0, len(change), means.shape[::-1])
    drawn = np.take_along_axis(means.T, seeds, 1).mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {
        "difference": round(float(change.mean()), 4),
        "interval_95": [round(float(low), 4), round(float(high), 4)],
    }


def write(name: str, title: str, found: dict[str, Any]) -> None:
    """Write results/NAME.json; a script that has several parts writes a file for each."""
    script = Path(sys.argv[0]).name
    result = {
        "name": name,
        "title": title,
        "command": " ".join(["python", f"tests/benchmarks/{script}", *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": harness.machine() | {"threads": torch.get_num_threads()},
        "versions": harness.versions_of(Path(sys.executable), "edgecnn", "torch", "lightning"),
        **found,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {path.relative_to(ROOT)}")
