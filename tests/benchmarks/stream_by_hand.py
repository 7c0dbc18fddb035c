"""`edgecnn stream` against forty lines by hand: MobileNetV1 1.0-224 on a 640x480 file.

Both decode with OpenCV and infer with ONNX Runtime, on the same weights. The stream infers one
frame on each core, and decodes meanwhile; by hand all cores work on one frame, once it is decoded.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import harness
from harness import BIN, CACHE, HERE, Sample, Target, run

MODEL = "mobilenet_v1"
CLIP = CACHE / "clip.mp4"
BUNDLE = CACHE / f"{MODEL}.bundle"
FLOAT = CACHE / f"{MODEL}.float.onnx"
PYTHON = Path(sys.executable)


def prepare() -> None:
    """Make the film, the bundle and the graph for the loop by hand."""
    CACHE.mkdir(parents=True, exist_ok=True)
    if not CLIP.exists():
        run([PYTHON, HERE / "clip.py", CLIP])
    run([BIN / "edgecnn", "export", MODEL, "--resolution", "224", "--random", "--out", BUNDLE])
    run([PYTHON, HERE / "float_graph.py", BUNDLE, FLOAT])


def stream(bundle: Path = BUNDLE, clip: Path = CLIP, *options: str) -> Sample:
    """One `edgecnn stream` over the film."""
    out = CACHE / "stream.json"
    command = [
        BIN / "edgecnn",
        "stream",
        bundle,
        "--source",
        clip,
        "--headless",
        "--json",
        out,
        *options,
    ]
    finished = run(command)
    result = json.loads(out.read_text())
    return {
        "loop_ms_per_frame": 1000 / result["fps"],
        "process_ms_per_frame": 1000 * finished.wall_s / result["frames"],
        "peak_mb": finished.peak_mb,
    }


def by_hand() -> Sample:
    """One run of the forty lines over the film."""
    finished = run([PYTHON, HERE / "by_hand.py", FLOAT, CLIP])
    result = json.loads(finished.stdout)
    return {
        "loop_ms_per_frame": 1000 * result["loop_s"] / result["frames"],
        "process_ms_per_frame": 1000 * finished.wall_s / result["frames"],
        "peak_mb": finished.peak_mb,
    }


def main() -> int:
    """Measure, print and write."""
    asked = harness.arguments(__doc__, pairs=30)
    prepare()
    ours, theirs = harness.alternate(stream, by_hand, asked.pairs)
    return harness.report(
        "stream_by_hand",
        "edgecnn stream against a loop by hand, mobilenet_v1 1.0-224, 640x480",
        harness.measures(ours, theirs, [Target("loop_ms_per_frame", 0.95)]),
        pairs=asked.pairs,
        versions={"ours": harness.versions_of(PYTHON, *harness.RUNTIME)},
    )


if __name__ == "__main__":
    sys.exit(main())
