"""`edgecnn stream` against Ultralytics' `predict(stream=True)`: the same ONNX file and film.

Ultralytics has an environment of its own, `.venv-bench`, with what a package index gives.
"""

from __future__ import annotations

import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

import harness
from harness import BIN, CACHE, HERE, ROOT, Sample, Target, run
from stream_by_hand import CLIP, stream

PYTHON = Path(sys.executable)
VENV = ROOT / ".venv-bench"
THEIR_PYTHON = VENV / "bin" / "python"
PROGRAMS = HERE / "ultralytics_programs.py"
ONNX = CACHE / "yolo11n-cls.onnx"
BUNDLE = CACHE / "yolo11n-cls.bundle"

# No look-ups on the network and no installing: neither belongs into their time.
QUIET = {
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_CONFIG_DIR": str(CACHE),
    "YOLO_VERBOSE": "false",
}
OUR_IMPORT = "from edgecnn_runtime import Classifier, Stream; import cv2, onnxruntime"
THEIR_IMPORT = "import ultralytics; from ultralytics import YOLO"


def prepare() -> None:
    """Make the environment, the film, their ONNX file and our bundle around it."""
    requirements = (
        "ultralytics==8.4.190",
        f"onnxruntime=={version('onnxruntime')}",
        f"onnx=={version('onnx')}",
    )
    stamp = VENV / hashlib.sha256(repr(requirements).encode()).hexdigest()[:12]
    if not stamp.exists():
        uv = BIN / "uv"
        run([uv, "venv", "--quiet", "--allow-existing", "--python", PYTHON, VENV])
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", THEIR_PYTHON]
        run([*install, *requirements])
        stamp.touch()
    CACHE.mkdir(parents=True, exist_ok=True)
    if not CLIP.exists():
        run([PYTHON, HERE / "clip.py", CLIP])
    if not ONNX.exists():
        run([THEIR_PYTHON, PROGRAMS, "export", ONNX], **QUIET)
    # Their preprocessing: the shorter side to 224, the middle, RGB, divided by 255.
    options = ["--resolution=224", "--color=rgb", "--mean=0,0,0", "--std=1,1,1", "--resize=crop"]
    run([BIN / "edgecnn", "export", ONNX, *options, "--random", "--out", BUNDLE])


def import_s(python: Path, code: str) -> float:
    """Seconds that an import takes in a process of its own, without the interpreter's start."""
    timed = f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
    return float(run([python, "-c", timed], **QUIET).stdout.split()[-1])


def ours() -> Sample:
    return {**stream(BUNDLE, CLIP), "import_s": import_s(PYTHON, OUR_IMPORT)}


def theirs() -> Sample:
    finished = run([THEIR_PYTHON, PROGRAMS, "predict", ONNX, CLIP], **QUIET)
    result = json.loads(finished.stdout.splitlines()[-1])
    return {
        "loop_ms_per_frame": 1000 * result["loop_s"] / result["frames"],
        "process_ms_per_frame": 1000 * finished.wall_s / result["frames"],
        "peak_mb": finished.peak_mb,
        "import_s": import_s(THEIR_PYTHON, THEIR_IMPORT),
    }


def main() -> int:
    """Measure, print and write."""
    asked = harness.arguments(__doc__, pairs=15)
    prepare()
    mine, other = harness.alternate(ours, theirs, asked.pairs)
    targets = [
        Target("loop_ms_per_frame", 0.55),
        Target("peak_mb", 0.2),
        Target("import_s", 0.15),
    ]
    packages = ("numpy", "onnxruntime")
    return harness.report(
        "ultralytics_ratio",
        "edgecnn stream against ultralytics predict(stream=True), yolo11n-cls, 640x480",
        harness.measures(mine, other, targets),
        pairs=asked.pairs,
        versions={
            "ours": harness.versions_of(PYTHON, "edgecnn", *packages, "opencv-python-headless"),
            "theirs": harness.versions_of(
                THEIR_PYTHON, "ultralytics", "torch", *packages, "opencv-python"
            ),
        },
    )


if __name__ == "__main__":
    sys.exit(main())
