"""A 640x480 frame to probabilities: our bundle against timm's ONNX export and code by hand.

Ten convolutional networks of timm with random weights, the same on both sides; both run in ONNX
Runtime with threads that wait awake. Target: the median of the ten ratios at most 1.0.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import harness
from harness import CACHE, HERE, Sample, Target, run

NETWORKS = (
    "convnext_pico", "densenet121", "efficientnet_b0", "ghostnet_100", "mobilenetv2_100",
    "mobilenetv3_large_100", "regnety_008", "repvgg_a0", "resnet18", "resnet50",
)  # fmt: skip
FOLDER = CACHE / "timm"
FRAMES = FOLDER / "frames.npy"
PYTHON = Path(sys.executable)
RATIO = "median of the ratios"


def prepare() -> None:
    """Export every network both ways; each checks that both give the same answers."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in NETWORKS:
        if not (FOLDER / f"{name}.json").exists():
            run([PYTHON, HERE / "timm_pair.py", name, FOLDER])


def measured(program: str, suffix: str) -> Callable[[], Sample]:
    """A round over all networks, each in a process of its own: ms a frame."""

    def round_of_all() -> Sample:
        command = [PYTHON, HERE / program]
        runs = {n: run([*command, FOLDER / f"{n}.{suffix}", FRAMES]) for n in NETWORKS}
        return {name: json.loads(finished.stdout)["ms"] for name, finished in runs.items()}

    return round_of_all


def with_median(
    ours: list[Sample], theirs: list[Sample]
) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """Add the median of the networks' ratios to each pair of rounds."""
    medians = [
        statistics.median(mine[name] / other[name] for name in NETWORKS)
        for mine, other in zip(ours, theirs, strict=True)
    ]
    return (
        [{**mine, RATIO: median} for mine, median in zip(ours, medians, strict=True)],
        [{**other, RATIO: 1.0} for other in theirs],
    )


def main() -> int:
    """Measure, print and write."""
    asked = harness.arguments(__doc__, pairs=20)
    prepare()
    rounds = harness.alternate(
        measured("frame_by_bundle.py", "bundle"),
        measured("frame_by_hand.py", "onnx"),
        asked.pairs,
    )
    ours, theirs = with_median(*rounds)
    return harness.report(
        "export_vs_timm",
        "640x480 frame to probabilities, our bundle against timm's export preprocessed by hand",
        harness.measures(ours, theirs, [Target(RATIO, 1.0)]),
        pairs=asked.pairs,
        versions={
            "both": harness.versions_of(
                PYTHON, "edgecnn", "timm", "torch", "numpy", "onnxruntime", "opencv-python-headless"
            )
        },
        notes={"unit": "ms a frame, median of each process"},
    )


if __name__ == "__main__":
    sys.exit(main())
