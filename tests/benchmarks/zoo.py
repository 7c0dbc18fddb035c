"""The zoo as a table: counts, latency of the ONNX graph, size and compile time of the engines.

Each network runs in a process of its own, with random weights at its paper's resolution, and its
graph must agree with PyTorch first. Writes results/zoo.json and docs/zoo.md; run it on a quiet
machine. Names as arguments measure these networks alone and write nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import harness
from harness import RESULTS, ROOT

WARM_UP, FRAMES = 10, 60
SECONDS = 8.0  # at most this long for the frames of one network
PAGE = ROOT / "docs" / "zoo.md"
HEADER = (
    "| name | year | parameters | MACs (M) | sees (px) | input | ORT p50 (ms) | engine FP32 (MB)"
    " | FP16 (MB) | compile FP32 (s) | FP16 (s) | logits off by |"
)


def measure(name: str) -> dict[str, Any]:
    """Everything about one network."""
    import numpy as np
    import torch

    from edgecnn.models import build, entry
    from edgecnn.models.cost import cost
    from edgecnn.models.layers import random_statistics
    from edgecnn.training.inputs import to_tensor
    from edgecnn_export.half import to_half
    from edgecnn_export.sessions import run_graph
    from edgecnn_export.sources import Options, make_input
    from edgecnn_export.to_onnx import GraphOptions, to_onnx

    row = entry(name)
    side, channels = row.resolution, row.channels
    torch.manual_seed(0)
    network = build(name).eval()
    random_statistics(network, (channels, side, side))
    size = cost(network, (channels, side, side))
    spec = make_input(Options(), (side, side), channels, (0.4,) * channels, (0.25,) * channels)
    labels = tuple(f"class {i}" for i in range(row.classes))
    graph = to_onnx(network, spec, labels, GraphOptions(logits=True))
    off = 0.0
    for batch in (1, 3):
        frames = np.random.default_rng(batch).integers(
            0, 256, (batch, side, side, channels), dtype=np.uint8
        )
        with torch.no_grad():
            expected = network(to_tensor(torch.from_numpy(frames), spec)).numpy()
        logits = run_graph(graph, frames)[1]
        off = max(off, float(np.abs(logits - expected).max() / np.abs(expected).max()))
    if not off < 1e-4:
        raise SystemExit(f"{name}: the graph's logits are off by {off:.1e}, at most 1e-4")
    return {
        "name": name,
        "year": row.year,
        "parameters": size.parameters,
        "macs": size.macs,
        "receptive_field": size.receptive_field,
        "resolution": side,
        "logits_off_by": off,
        "ort_p50_ms": _latency(graph, frames[:1]),
        "engines": {"fp32": _engine(graph), "fp16": _engine(to_half(graph))},
    }


def _latency(graph: Any, frame: Any) -> float:
    import tempfile

    import numpy as np

    from edgecnn_export.graph_file import write_graph
    from edgecnn_runtime.backends.ort import open_ort

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_graph(graph, path)
        backend = open_ort(path, "onnxruntime")
        samples: list[float] = []
        started = time.perf_counter()
        while len(samples) < FRAMES + WARM_UP and time.perf_counter() - started < SECONDS:
            began = time.perf_counter()
            backend.infer(frame)
            samples.append(1000 * (time.perf_counter() - began))
    return float(np.median(samples[min(WARM_UP, len(samples) // 2) :]))


def _engine(graph: Any) -> dict[str, float]:
    from edgecnn_export.tensorrt.build import BuildOptions, build_engine
    from edgecnn_export.tensorrt.compilers import find_compiler

    compiler = find_compiler("tensorrt-rtx")
    began = time.perf_counter()
    engine = build_engine(compiler, graph.SerializeToString(), "sm86", BuildOptions())
    return {"bytes": len(engine), "seconds": round(time.perf_counter() - began, 2)}


def page(result: dict[str, Any]) -> str:
    """docs/zoo.md."""
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    lines = [
        "# The zoo",
        "",
        f"Made by `make zoo` on {result['date'][:10]}: {machine['cores']} cores of"
        f" {machine['cpu']}; {versions}.",
        "Weights are random, inputs those of the papers. ORT p50: inference of one image in ONNX"
        " Runtime on the CPU, FP32; on a shared machine, so compare rows rather than digits."
        " Engines: TensorRT-RTX for sm86, batch 1 to 8, compiled without a GPU. The last column is"
        " the largest difference between the logits of ONNX Runtime and of PyTorch, as a share of"
        " the largest logit, at batch 1 and 3.",
        "",
        HEADER,
        "|---" + "|---:" * (HEADER.count("|") - 2) + "|",
    ]
    for r in result["networks"]:
        fp32, fp16 = r["engines"]["fp32"], r["engines"]["fp16"]
        cells = [
            r["name"],
            f"{r['year']}",
            f"{r['parameters']:,}",
            f"{r['macs'] / 1e6:,.1f}",
            f"{r['receptive_field']}",
            f"{r['resolution']}",
            f"{r['ort_p50_ms']:.2f}",
            f"{fp32['bytes'] / 1e6:.1f}",
            f"{fp16['bytes'] / 1e6:.1f}",
            f"{fp32['seconds']:.1f}",
            f"{fp16['seconds']:.1f}",
            f"{r['logits_off_by']:.0e}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure every network, each in a process of its own."""
    if sys.argv[1:] and sys.argv[1] == "--one":
        print(json.dumps(measure(sys.argv[2])))
        return 0
    from edgecnn.models import ZOO

    networks = []
    for name in sys.argv[1:] or list(ZOO):
        networks.append(json.loads(_alone(name)))
        print(json.dumps(networks[-1]), file=sys.stderr, flush=True)
    if sys.argv[1:]:
        return 0
    result = {
        "name": "zoo",
        "command": "make zoo",
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": harness.machine(),
        "versions": harness.versions_of(
            Path(sys.executable), "torch", "onnx", "onnxruntime", "tensorrt-rtx"
        ),
        "networks": networks,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "zoo.json").write_text(json.dumps(result, indent=2) + "\n")
    PAGE.write_text(page(result))
    print(f"written to {PAGE.relative_to(ROOT)}")
    return 0


def _alone(name: str) -> str:
    command = [sys.executable, __file__, "--one", name]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
