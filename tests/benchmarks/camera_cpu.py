"""CPU time of a frame at 30 frames a second: the stream against preprocess and inference.

Twice: against a bare loop of the two that waits for each frame as a camera makes it, and against
the two without a pause. Pauses alone cost CPU time, since caches are cold and clocks low after
them: the first comparison says what the stream costs, the second what a camera does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import harness
from harness import BIN, CACHE, HERE, Sample, Target, run

PYTHON = Path(sys.executable)
MODELS = {
    "mobilenet_v1 1.0-224": ("mobilenet_v1", "1.0", "224"),
    "mobilenet_v1 0.25-128": ("mobilenet_v1", "0.25", "128"),
}
AT_MOST = 1.15


def bundle_of(model: str) -> Path:
    """Export it."""
    name, width, resolution = MODELS[model]
    path = CACHE / f"{name}-{width}-{resolution}.bundle"
    options = ["--width", width, "--resolution", resolution, "--random", "--out", path]
    run([BIN / "edgecnn", "export", name, *options])
    return path


def cpu_ms(program: str, bundle: Path) -> float:
    """Milliseconds of CPU time a frame, of a process of its own."""
    finished = run([PYTHON, HERE / "paced_programs.py", program, bundle])
    return float(json.loads(finished.stdout)["cpu_ms_per_frame"])


def main() -> int:
    """Measure, print and write."""
    asked = harness.arguments(__doc__, pairs=15)
    CACHE.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, object]] = {}
    for model in MODELS:
        bundle = bundle_of(model)
        paced, alone = f"{model}: ms, against paced", f"{model}: ms, against alone"

        def ours(bundle: Path = bundle, paced: str = paced, alone: str = alone) -> Sample:
            return dict.fromkeys((paced, alone), cpu_ms("stream", bundle))

        def theirs(bundle: Path = bundle, paced: str = paced, alone: str = alone) -> Sample:
            return {paced: cpu_ms("paced", bundle), alone: cpu_ms("alone", bundle)}

        samples = harness.alternate(ours, theirs, asked.pairs)
        found |= harness.measures(*samples, [Target(paced, AT_MOST)])
    return harness.report(
        "camera_cpu",
        "CPU time at 30 frames a second: edgecnn stream against preprocess and inference",
        found,
        pairs=asked.pairs,
        versions={"ours": harness.versions_of(PYTHON, *harness.RUNTIME)},
    )


if __name__ == "__main__":
    sys.exit(main())
