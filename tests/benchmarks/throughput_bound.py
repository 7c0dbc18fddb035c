"""`edgecnn stream` over a file against the bound that its stages set: MobileNetV1 1.0-224, 640x480.

The film is shown four times, since its first and last frames have no neighbours to overlap with.
Target: throughput of at least 0.95 of the bound, so a ratio of times of at most 1.053.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import harness
from harness import HERE, Sample, Target, run
from stream_by_hand import BUNDLE, CLIP, prepare, stream

PYTHON = Path(sys.executable)
FRAMES = 1200


def long_stream() -> Sample:
    """One `edgecnn stream` over the film, again and again."""
    return stream(BUNDLE, CLIP, "--loop", f"--frames={FRAMES}")


def bound() -> Sample:
    """The stages alone, in one process."""
    result = json.loads(run([PYTHON, HERE / "stages_alone.py", BUNDLE, CLIP]).stdout)
    return {"loop_ms_per_frame": result["bound_ms"]}


def main() -> int:
    """Measure, print and write."""
    asked = harness.arguments(__doc__, pairs=15)
    prepare()
    ours, theirs = harness.alternate(long_stream, bound, asked.pairs)
    return harness.report(
        "throughput_bound",
        "edgecnn stream against the bound of its stages, mobilenet_v1 1.0-224, 640x480",
        harness.measures(ours, theirs, [Target("loop_ms_per_frame", 1 / 0.95)]),
        pairs=asked.pairs,
        versions={"ours": harness.versions_of(PYTHON, *harness.RUNTIME)},
    )


if __name__ == "__main__":
    sys.exit(main())
