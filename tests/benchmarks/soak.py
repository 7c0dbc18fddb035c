"""One million frames through the real loop, with faults of cameras and sinks thrown in.

Two cameras that end, hang, freeze and refuse, every frame of which is wanted; records, a film, a
webhook and a page, some of which fail. Nothing may be lost, and nothing may grow: `soak_loop.py`
says what is checked.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import harness
from harness import BIN, CACHE, HERE, Sample, Target, run

MODEL = "lenet5"
BUNDLE = CACHE / f"{MODEL}.bundle"
PYTHON = Path(sys.executable)
FRAMES, EVERY = 1_000_000, 3000  # frames, and those between two faults of a camera


def sample(found: dict[str, Any]) -> Sample:
    """The figures that have a target, and those that say how much was gone through."""
    warm, last = found["warm"], found["last"]
    return {
        "frames": found["frames"],
        "wrong": len(found["wrong"]),
        "resident_growth": found["resident_growth"],
        "more_descriptors": last["descriptors"] - warm["descriptors"],
        "more_threads": last["threads"] - warm["threads"],
        "resident_mb": last["resident_mb"],
        "camera_faults": sum(found["camera_faults"].values()),
        "reconnects": found["reconnects"],
        "minutes": found["seconds"] / 60,
    }


def main() -> int:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pairs", type=int, help="of other benchmarks; there is one run here")
    asked = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    run([BIN / "edgecnn", "export", MODEL, "--random", "--out", BUNDLE])
    program = [PYTHON, HERE / "soak_loop.py", BUNDLE]
    options = {"--frames": asked.frames, "--seed": asked.seed, "--every": EVERY}
    finished = run([*program, *(f"{name}={value}" for name, value in options.items())])
    found = json.loads(finished.stdout)
    for line in found["wrong"]:
        print(line, file=sys.stderr)
    targets = [
        Target("wrong", 0),
        Target("resident_growth", 0.02),
        Target("more_descriptors", 1),  # a viewer that is there, or not
        Target("more_threads", 1),
    ]
    return harness.report(
        "soak",
        f"{asked.frames:,} frames through the loop, with faults of cameras and sinks",
        harness.measures([sample(found)], [], targets),
        pairs=1,
        versions={"ours": harness.versions_of(PYTHON, *harness.RUNTIME)},
        notes={"found": found},
    )


if __name__ == "__main__":
    sys.exit(main())
