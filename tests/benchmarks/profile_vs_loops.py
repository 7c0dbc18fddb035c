"""`edgecnn profile` against other people's timing loops on the same graph: the same medians?

ONNX Runtime: a bare loop around `run`, and its own profiler. OpenVINO: its `benchmark_app`, against
`edgecnn profile --backend openvino`, both in an environment of their own, `.venv-bench-openvino`;
left out where this edgecnn has no such backend.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import harness
import numpy as np
from harness import BIN, CACHE, HERE, ROOT, Sample, run

from edgecnn_runtime.backends import BACKENDS
from edgecnn_runtime.bundle import open_bundle, read_golden

PYTHON = Path(sys.executable)
VENV = ROOT / ".venv-bench-openvino"
BUNDLE = CACHE / "loops.bundle"
FRAMES = CACHE / "loops.npy"
WITHIN = 0.03
COUNT = 300
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def prepare() -> Path:
    """Export the network with random weights; its graph, and its golden frames as it takes them."""
    if not (BUNDLE / "manifest.json").is_file():
        verb = [PYTHON, "-m", "edgecnn_runtime", "export", "mobilenet_v1", "--random"]
        run([*verb, "--width", "0.5", "--resolution", "160", "--out", BUNDLE])
    bundle = open_bundle(BUNDLE)
    np.save(FRAMES, read_golden(bundle).inputs)
    return bundle.file(bundle.onnx("fp32"))


def prepare_openvino() -> Path | None:
    """The interpreter of an environment with both; None where edgecnn has no such backend."""
    if "openvino" not in BACKENDS:
        return None
    python = VENV / "bin" / "python"
    requirements = ("openvino>=2025.3", f"onnxruntime=={version('onnxruntime')}")
    stamp = VENV / hashlib.sha256(repr(requirements).encode()).hexdigest()[:12]
    if not stamp.exists():
        run([BIN / "uv", "venv", "--quiet", "--allow-existing", "--python", PYTHON, VENV])
        install = [BIN / "uv", "pip", "install", "--quiet", "--python", python]
        run([*install, *requirements, "-e", f"{ROOT}[cpu]"])
        stamp.touch()
    return python


def profiled(python: Path, backend: str) -> dict[str, float]:
    """(the network alone, the network inside a whole frame): medians in ms."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "profile.json"
        verb = [python, "-m", "edgecnn_runtime", "profile", BUNDLE, "--backend", backend]
        options = ["--frames", str(COUNT), "--threads", str(THREADS), "--batch", "1"]
        run([*verb, *options, "--json", result])
        found = json.loads(result.read_text())
    return {"alone": found["batches"][0]["p50_ms"], "inside": found["stages"]["infer"]["p50"]}


def benchmark_app(python: Path, graph: Path) -> float:
    """Median of a synchronous request with one stream, in ms."""
    options = ["-api", "sync", "-hint", "none", "-nstreams", "1", "-nthreads", str(THREADS)]
    _, height, width, channels = np.load(FRAMES).shape
    shape = ["-shape", f"[1,{height},{width},{channels}]", "-niter", str(COUNT)]
    said = run([python.with_name("benchmark_app"), "-m", graph, *options, *shape]).stdout
    found = re.search(r"Median:\s+([\d.]+) ms", said)
    if found is None:
        raise SystemExit(f"{said}\nbenchmark_app printed no median")
    return float(found[1])


def programs(
    graph: Path, openvino: Path | None
) -> tuple[Callable[[], Sample], Callable[[], Sample]]:
    """(ours, theirs): each runs its programs once."""

    def ours() -> Sample:
        found = profiled(PYTHON, "onnxruntime")
        sample = {
            "ort_loop_ms": found["alone"],
            "ort_profiler_ms": found["alone"],
            "ort_loop_inside_a_frame_ms": found["inside"],
        }
        if openvino:
            sample["benchmark_app_ms"] = profiled(openvino, "openvino")["alone"]
        return sample

    def theirs() -> Sample:
        command = [PYTHON, HERE / "ort_loop.py", graph, FRAMES, str(COUNT), str(THREADS)]
        found = json.loads(run(command).stdout)
        sample = {
            "ort_loop_ms": found["loop_ms"],
            "ort_profiler_ms": found["own_ms"],
            "ort_loop_inside_a_frame_ms": found["loop_ms"],
        }
        if openvino:
            sample["benchmark_app_ms"] = benchmark_app(openvino, graph)
        return sample

    return ours, theirs


def judge(found: dict[str, dict[str, object]]) -> None:
    """Within 3% to either side; missed only where the interval says so."""
    for name in ("ort_loop_ms", "benchmark_app_ms"):
        if name in found:
            entry = found[name]
            low, high = entry["interval_95"]  # type: ignore[misc]
            is_met = abs(entry["ratio"] - 1) <= WITHIN  # type: ignore[operator]
            is_missed = low > 1 + WITHIN or high < 1 - WITHIN
            state = "met" if is_met else "missed" if is_missed else "within the noise"
            entry |= {"at_most": f"1 ± {WITHIN}", "target": state}


def main() -> int:
    """Measure, print and write."""
    asked = harness.arguments(__doc__, pairs=12)
    graph = prepare()
    openvino = prepare_openvino()
    mine, other = harness.alternate(*programs(graph, openvino), asked.pairs)
    found = harness.measures(mine, other, [])
    judge(found)
    versions = {"ours": harness.versions_of(PYTHON, "edgecnn", "numpy", "onnxruntime")}
    if openvino:
        versions["openvino"] = harness.versions_of(openvino, "openvino")
    return harness.report(
        "profile_vs_loops",
        "edgecnn profile against other timing loops, MobileNetV1 0.5-160, the network alone",
        found,
        pairs=asked.pairs,
        versions=versions,
        notes={
            "frames": COUNT,
            "threads": THREADS,
            "openvino": "measured" if openvino else "left out: this edgecnn has no such backend",
            "spread_of_pairs": round(
                statistics.stdev(
                    a["ort_loop_ms"] / b["ort_loop_ms"] for a, b in zip(mine, other, strict=True)
                )
                if asked.pairs > 1
                else 0.0,
                4,
            ),
        },
    )


if __name__ == "__main__":
    sys.exit(main())
