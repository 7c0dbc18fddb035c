"""Whether the age that is told of a frame is true, and how old frames become under a slow sink.

Every frame carries in its pixels when it was made. Targets, in milliseconds: the age that is told
lies within 2 of the true one, of a synthetic camera and of MJPEG over HTTP, whose age counts from
arrival; and under a sink ten times too slow it stays, at the 99th percentile, under two periods of
the camera and the inference.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import harness
from camera_cpu import bundle_of
from harness import CACHE, HERE, Sample, Target, run

PYTHON = Path(sys.executable)
MODEL = "mobilenet_v1 0.25-128"
PROGRAMS = ("synthetic", "mjpeg", "slow-sink")


def main() -> int:
    """Measure, print and write."""
    asked = harness.arguments(__doc__, pairs=5)
    CACHE.mkdir(parents=True, exist_ok=True)
    bundle = bundle_of(MODEL)

    def sample() -> Sample:
        found: dict[str, float] = {}
        for program in PROGRAMS:
            said = run([PYTHON, HERE / "age_programs.py", program, bundle]).stdout
            found |= {f"{program}: {name}": value for name, value in json.loads(said).items()}
        return found

    samples, _ = harness.alternate(sample, None, asked.pairs)
    targets = [
        Target("synthetic: apart_p50", 2),
        Target("synthetic: apart_p99", 2),
        Target("mjpeg: apart_p50", 2),
        Target("slow-sink: share_of_allowed", 1),
    ]
    return harness.report(
        "frame_age",
        "the age of frames at 30 a second: told against true, and under a slow sink",
        harness.measures(samples, [], targets),
        pairs=asked.pairs,
        versions={"ours": harness.versions_of(PYTHON, "edgecnn", "numpy", "onnxruntime")},
    )


if __name__ == "__main__":
    sys.exit(main())
