"""MobileNetV1 1.0-224 in FP32 on this GPU, every way that is installed, at batch 1 and 32.

A way that fails is a line that says why, and the rest goes on. Writes results/gpu_latency.json
where there is a GPU. `--count 5 --device cpu` tries the script itself on any machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import gpu_parts
import harness
from harness import CACHE, HERE, RESULTS, ROOT

BUNDLE = CACHE / "gpu.bundle"
TIMEOUT_S = 240
PACKAGES = ("onnxruntime-gpu", "torch", "tensorrt", "tensorrt-rtx", "cuda-bindings", "pycuda")
ONCE = ("launch floor, PyTorch", "TensorRT-RTX, engine for sm89", "classifier")  # batch 1 alone


def prepare(bundle: Path) -> None:
    """Export the network with random weights: latency does not depend on them."""
    if not (bundle / "manifest.json").is_file():
        bundle.parent.mkdir(parents=True, exist_ok=True)
        verb = [sys.executable, "-m", "edgecnn_runtime", "export", gpu_parts.NAME, "--random"]
        harness.run([*verb, "--resolution", "224", "--out", bundle])


def measure(part: str, bundle: Path, batch: int, count: int, device: str) -> dict[str, Any]:
    """One part in a process of its own; whatever goes wrong is an entry `error` of one line."""
    options = ["--batch", batch, "--count", count, "--device", device]
    command = [sys.executable, HERE / "gpu_parts.py", part, bundle, *options]
    try:
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {TIMEOUT_S} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        try:
            return dict(json.loads(lines[-1]))
        except ValueError:
            return {"error": f"answered {lines[-1]!r}"}
    said = done.stderr.strip().splitlines()
    return {"error": said[-1] if said else f"ended with status {done.returncode}"}


def line(part: str, batch: int, found: dict[str, Any]) -> str:
    """What people read."""
    name = f"{part:<31} {batch:>3}  "
    if "error" in found:
        return name + found["error"]
    if "says" in found:
        return f"{name}{found['gpu']}: {found['says']}"
    text = f"p50 {found['p50_ms']:8.3f}  p99 {found['p99_ms']:8.3f} ms"
    if "gpu_p50_ms" in found:
        text += f"  GPU p50 {found['gpu_p50_ms']:8.3f}"
    if "share_of_gpu" in found:
        text += f"  {found['share_of_gpu']:.2f} times the GPU's time"
    return name + text


def main() -> int:
    """Measure, print and write."""
    from edgecnn_runtime.backends.cuda import compute_capability
    from edgecnn_runtime.installed import version
    from edgecnn_runtime.latency.device import gpus

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=500, help="frames to measure")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--only", nargs="+", default=list(gpu_parts.PARTS), help="parts")
    parser.add_argument("--device", default="cuda", help="of PyTorch")
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    asked = parser.parse_args()
    if compute_capability() is None and asked.device == "cuda":
        print("no NVIDIA GPU is here: nothing is measured")
        return 0
    prepare(asked.bundle)
    gpu = gpus()
    print(f"{gpu[0] if gpu else 'no GPU'}, {asked.count} times each; FP32, no TF32")
    rows = []
    for batch in asked.batches:
        for part in asked.only:
            if batch != asked.batches[0] and part in ONCE:
                continue
            found = measure(part, asked.bundle, batch, asked.count, asked.device)
            rows.append({"part": part, "batch": batch, **found})
            print(line(part, batch, found), flush=True)
    if compute_capability() is None:
        print("no GPU is here: nothing is written")
        return 0
    result = {
        "name": "gpu_latency",
        "title": f"{gpu_parts.NAME} 1.0-224, FP32, from the host's memory and back",
        "command": " ".join(["python", "tests/benchmarks/gpu_latency.py", *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "gpu": gpu,
        "compute_capability": compute_capability(),
        "machine": harness.machine(),
        "versions": {package: version(package) for package in PACKAGES},
        "count": asked.count,
        "rows": rows,
    }
    path = RESULTS / "gpu_latency.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
