"""`edgecnn profile` against other people's timing loops on the same graph: the same medians?

ONNX Runtime: a bare loop around `run`, and its own profiler. OpenVINO: its `benchmark_app`, against
`edgecnn profile --backend openvino`. The settings of both sides are the same, so that the clocks
are compared: one thread, since a machine of two cores now and then keeps both of two threads on one
core for a whole process, which nearly doubles what either side says. A loop calls the network and
nothing else: held to it is the network alone (`--batch 1`). What the same network takes inside
whole frames, between preprocessing and the answer, stands beside it and has no target: there it
finds other things in the caches.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

import harness
import numpy as np
from harness import BIN, CACHE, HERE, Sample, run

from edgecnn_runtime.bundle import open_bundle, read_golden

PYTHON = Path(sys.executable)
BUNDLE = CACHE / "loops.bundle"
FRAMES = CACHE / "loops.npy"
WITHIN = 0.03
COUNT = 300
THREADS = 1


def prepare() -> Path:
    """Export the network with random weights; its graph, and its golden frames as it takes them."""
    if not (BUNDLE / "manifest.json").is_file():
        verb = [PYTHON, "-m", "edgecnn_runtime", "export", "mobilenet_v1", "--random"]
        run([*verb, "--width", "0.5", "--resolution", "160", "--out", BUNDLE])
    bundle = open_bundle(BUNDLE)
    np.save(FRAMES, read_golden(bundle).inputs)
    return bundle.file(bundle.onnx("fp32"))


def profiled(backend: str) -> dict[str, float]:
    """(the network alone, the network inside a whole frame): medians in ms."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "profile.json"
        verb = [PYTHON, "-m", "edgecnn_runtime", "profile", BUNDLE, "--backend", backend]
        options = ["--frames", str(COUNT), "--threads", str(THREADS), "--batch", "1"]
        run([*verb, *options, "--json", result])
        found = json.loads(result.read_text())
    return {"alone": found["batches"][0]["p50_ms"], "inside": found["stages"]["infer"]["p50"]}


def benchmark_app(graph: Path) -> float:
    """Median of synchronous requests, in ms."""
    # The hint `latency` is one stream on one socket; beside a hint it takes no number of threads.
    options = ["-api", "sync", "-hint", "none", "-nstreams", "1", "-infer_precision", "f32"]
    options += ["-nthreads", str(THREADS)]
    _, height, width, channels = np.load(FRAMES).shape
    shape = ["-shape", f"[1,{height},{width},{channels}]", "-niter", str(COUNT)]
    said = run([BIN / "benchmark_app", "-m", graph, *options, *shape]).stdout
    found = re.search(r"Median:\s+([\d.]+) (ms|us)", said)  # below a millisecond it writes us
    if found is None:
        raise SystemExit(f"{said}\nbenchmark_app printed no median")
    return float(found[1]) / (1000 if found[2] == "us" else 1)


def ours() -> Sample:
    ort, openvino = profiled("onnxruntime"), profiled("openvino")
    return {
        "ort_loop_ms": ort["alone"],
        "ort_profiler_ms": ort["alone"],
        "benchmark_app_ms": openvino["alone"],
        "ort_inside_frames_ms": ort["inside"],
        "openvino_inside_frames_ms": openvino["inside"],
    }


def theirs(graph: Path) -> Sample:
    command = [PYTHON, HERE / "ort_loop.py", graph, FRAMES, str(COUNT), str(THREADS)]
    ort, openvino = json.loads(run(command).stdout), benchmark_app(graph)
    return {
        "ort_loop_ms": ort["loop_ms"],
        "ort_profiler_ms": ort["own_ms"],
        "benchmark_app_ms": openvino,
        "ort_inside_frames_ms": ort["loop_ms"],
        "openvino_inside_frames_ms": openvino,
    }


def judge(found: dict[str, dict[str, object]]) -> None:
    """Within 3% to either side; missed only where the interval says so."""
    for name in ("ort_loop_ms", "benchmark_app_ms"):
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
    mine, other = harness.alternate(ours, lambda: theirs(graph), asked.pairs)
    found = harness.measures(mine, other, [])
    judge(found)
    packages = ("edgecnn", "numpy", "onnxruntime", "openvino")
    return harness.report(
        "profile_vs_loops",
        "edgecnn profile against other timing loops, MobileNetV1 0.5-160",
        found,
        pairs=asked.pairs,
        versions={"both": harness.versions_of(PYTHON, *packages)},
        notes={"frames": COUNT, "threads": THREADS},
    )


if __name__ == "__main__":
    sys.exit(main())
