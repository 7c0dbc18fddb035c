"""Engines for GPUs that are not here: the zoo, trained networks, sixteen MobileNets in a minute.

The zoo has random weights at the papers' resolutions, in FP32, FP16 and INT8, for three GPUs; each
network runs in a process of its own. The trained ones go the road of `edgecnn train`, `export` and
`compile`. Of every graph it is told which convolutions and matrix products are in a higher
precision than it says. What is done is kept in .cache/bench/engines, so that a run that was stopped
goes on; --fresh begins anew. Writes results/engines.json and docs/engines.md; run it on a quiet
machine. Names as arguments measure these networks of the zoo alone and write nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import harness
from harness import CACHE, RESULTS, ROOT

TARGETS = ("sm86", "sm89", "sm120")
PRECISIONS = ("fp32", "fp16", "int8")
WIDTHS, RESOLUTIONS = (0.25, 0.5, 0.75, 1.0), (128, 160, 192, 224)
LIMIT_S = 60.0  # for sixteen networks in three precisions
DONE = CACHE / "engines"
PAGE = ROOT / "docs" / "engines.md"
Row = dict[str, Any]


class Trained(NamedTuple):
    data: str
    model: str
    width: float
    resolution: int
    epochs: int


TRAINED = (
    # data      model                 width  res  epochs
    Trained("terrain", "mobilenet_v1", 0.25, 48, 8),
    Trained("terrain", "mobilenet_v2", 0.5, 48, 8),
    Trained("terrain", "mobilenet_v1", 0.5, 96, 6),
    Trained("terrain", "resnet18", 1.0, 32, 6),
    Trained("mnist5k", "lenet5_modern", 1.0, 32, 3),
)


def graph_of(name: str, width: float = 1.0, side: int | None = None) -> Any:
    """The ONNX graph of a network of the zoo with random weights, and its input."""
    import torch

    from edgecnn.models import build, entry
    from edgecnn.models.layers import random_statistics
    from edgecnn_export.sources import Options, make_input
    from edgecnn_export.to_onnx import GraphOptions, to_onnx

    row = entry(name)
    side, channels = side or row.resolution, row.channels
    torch.manual_seed(0)
    network = build(name, width=width) if width != 1.0 else build(name)
    random_statistics(network.eval(), (channels, side, side))
    spec = make_input(Options(), (side, side), channels, (0.4,) * channels, (0.25,) * channels)
    labels = tuple(f"class {i}" for i in range(row.classes))
    return to_onnx(network, spec, labels, GraphOptions()), spec


def in_precision(graph: Any, spec: Any, precision: str) -> bytes:
    """The same graph in FP16, or in INT8 with ranges of two frames of noise."""
    import numpy as np

    from edgecnn_export.calibration import collect, ranges
    from edgecnn_export.half import to_half
    from edgecnn_export.quantize import KINDS, layers, quantize, tensors

    if precision == "fp16":
        graph = to_half(graph)
    if precision == "int8":
        shape = (2, spec.height, spec.width, spec.channels)
        frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        values = collect(graph, tensors(layers(graph), "int8"), frames)
        graph = quantize(graph, ranges(values, "minmax", KINDS["int8"].levels))
    return bytes(graph.SerializeToString())


def engines_of(content: bytes | Path, precision: str) -> Row:
    """The engines of one graph for every target, and what the graph multiplies."""
    from edgecnn_export.tensorrt.build import BuildOptions, build_engine, read_graph
    from edgecnn_export.tensorrt.compilers import find_compiler
    from edgecnn_runtime.errors import EdgecnnError

    compiler = find_compiler("tensorrt-rtx")
    began = time.perf_counter()
    read = read_graph(compiler, content)
    row: Row = {
        "read_s": round(time.perf_counter() - began, 3),
        "weight_bytes": read.typed.weight_bytes,
        "products": len(read.typed.products),
        "higher": [f"{h.layer} ({h.precision})" for h in read.typed.higher(precision, ())],
        "engines": {},
    }
    for target in TARGETS:
        began = time.perf_counter()
        try:
            built = build_engine(compiler, read, target, BuildOptions())
        except EdgecnnError as error:
            row["engines"][target] = {"error": str(error)}
            continue
        seconds = round(time.perf_counter() - began, 3)
        row["engines"][target] = {"bytes": len(built), "seconds": seconds}
    return row


def measure(name: str) -> Row:
    """Everything about one network of the zoo."""
    graph, spec = graph_of(name)
    graphs = {p: engines_of(in_precision(graph, spec, p), p) for p in PRECISIONS}
    return {"name": name, "resolution": spec.height, "graphs": graphs}


def measure_trained(row: Trained, folder: Path) -> Row:
    """Train, export and compile a network by the command line."""
    run, bundle = folder / "run", folder / "b.bundle"
    edgecnn = [sys.executable, "-m", "edgecnn_runtime"]
    size = ["--width", str(row.width), "--resolution", str(row.resolution)]
    train = ["train", row.data, "--model", row.model, *size, "--epochs", str(row.epochs)]
    compile_ = ["compile", str(bundle), "--compiler", "tensorrt-rtx", "--target", ",".join(TARGETS)]
    for line in (
        [*train, "--out", str(run), "--json", str(folder / "train.json")],
        ["export", str(run), "--out", str(bundle), "--precision", ",".join(PRECISIONS)],
        [*compile_, "--json", str(folder / "compile.json")],
    ):
        subprocess.run([*edgecnn, *line], check=True, stdout=sys.stderr)
    trained = json.loads((folder / "train.json").read_text())
    compiled = json.loads((folder / "compile.json").read_text())
    return {**row._asdict(), "top1": trained["top1"], "engines": compiled["engines"]}


def write_mobilenets(folder: Path) -> None:
    """The graphs of the sixteen variants in each precision, as files."""
    for width in WIDTHS:
        for side in RESOLUTIONS:
            graph, spec = graph_of("mobilenet_v1", width, side)
            for precision in PRECISIONS:
                file = folder / f"mobilenet_v1-{width}-{side}-{precision}.onnx"
                file.write_bytes(in_precision(graph, spec, precision))


def compile_one(file: Path, targets: tuple[str, ...]) -> list[Row]:
    """The engines of a graph's file, as `edgecnn compile` builds them; of each size and time."""
    from edgecnn_export.tensorrt.build import BuildOptions, build_engine, read_graph
    from edgecnn_export.tensorrt.compilers import find_compiler

    compiler = find_compiler("tensorrt-rtx")
    read, rows = read_graph(compiler, file), []
    for target in targets:
        began = time.perf_counter()
        engine = build_engine(compiler, read, target, BuildOptions())
        seconds = time.perf_counter() - began
        rows.append(
            {"graph": file.stem, "target": target, "bytes": len(engine), "seconds": seconds}
        )
    return rows


def compile_all(folder: Path, targets: tuple[str, ...], jobs: int) -> Row:
    """Compile all graphs of a folder, some at a time."""
    files = sorted(folder.glob("*.onnx"))
    began = time.perf_counter()
    if jobs == 1:
        done = [compile_one(file, targets) for file in files]
    else:
        with ProcessPoolExecutor(jobs) as pool:
            done = list(pool.map(compile_one, files, [targets] * len(files)))
    wall = time.perf_counter() - began
    each = [row | {"seconds": round(row["seconds"], 3)} for rows in done for row in rows]
    return {
        "targets": targets,
        "processes": jobs,
        "engines": len(each),
        "seconds": round(wall, 2),
        "mean_s": round(sum(row["seconds"] for row in each) / len(each), 3),
        **({"each": each} if len(targets) * jobs == 1 else {}),  # once is enough
    }


def mobilenets() -> list[Row]:
    """The sixteen variants: for one GPU and for three, in one process and in one for each core."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        _child("--graphs", folder)
        for targets in (TARGETS[:1], TARGETS):
            for jobs in (1, len(os.sched_getaffinity(0))):
                told = _child("--compile", folder, ",".join(targets), str(jobs))
                results.append(json.loads(told))
    return results


def _child(*arguments: str) -> str:
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def page(result: Row) -> str:
    """docs/engines.md."""
    machine, versions = result["machine"], result["versions"]
    zoo, trained, variants = result["zoo"], result["trained"], result["mobilenets"]
    built = [e for r in zoo for g in r["graphs"].values() for e in g["engines"].values()]
    lines = [
        "# Engines for GPUs that are not here",
        "",
        f"Made by `make engines` on {result['date'][:10]}: {machine['cores']} cores of"
        f" {machine['cpu']}, no GPU; TensorRT-RTX {versions['tensorrt-rtx']}, batch 1 to 8. The"
        " machine is shared: compare rows rather than digits. No engine was run.",
        "",
        f"**Zoo.** {sum('bytes' in e for e in built)} of {len(built)} engines compile:"
        f" {len(zoo)} networks with random weights at their papers' resolutions, in FP32, FP16 and"
        f" INT8 (its ranges are those of noise), for {', '.join(TARGETS)}. MB are means over these;"
        " times are in [zoo.md](zoo.md). *Weights* are those of the graph in its own types. What an"
        " engine holds besides is the source of kernels, which the driver compiles when it is"
        " loaded: of INT8 that is more, so that a small network's engine is larger in INT8 than in"
        " FP16, though its weights are half.",
        "",
        "| network | input | FP32 MB | FP16 MB | INT8 MB | weights FP32 | FP16 | INT8 |",
        "|---" + "|---:" * 7 + "|",
        *(_zoo_cells(r) for r in zoo),
        "",
        "**In a higher precision than asked for:** " + _higher(zoo),
        "",
        "**Trained** with `edgecnn train` and exported with `--precision fp32,fp16,int8`; INT8 is"
        " calibrated on real images, and layers that cost too much stay in FP32. INT8 engines:",
        "",
        f"| network | width | input | top-1 | MB {', '.join(TARGETS)} | of them weights"
        " | kept in FP32, of it explained |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *map(_trained_cells, trained),
        "",
        "**Sixteen MobileNets** (v1, widths 0.25 to 1.0, inputs 128 to 224) in three precisions:",
        "",
        "| GPUs | engines | processes | wall s | mean s each |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {', '.join(v['targets'])} | {v['engines']} | {v['processes']} | {v['seconds']:.1f}"
        f" | {v['mean_s']:.2f} |"
        for v in variants
    ]
    lines += ["", "Cost against size, for sm86 in one process:", "", *_cost(variants[0])]
    return "\n".join(lines) + "\n"


def _zoo_cells(row: Row) -> str:
    graphs = [row["graphs"][p] for p in PRECISIONS]
    cells = [row["name"], f"{row['resolution']}"]
    for graph in graphs:
        sizes = [e["bytes"] for e in graph["engines"].values() if "bytes" in e]
        cells.append(f"{sum(sizes) / len(sizes) / 1e6:.1f}" if sizes else "fails")
    cells += [f"{graph['weight_bytes'] / 1e6:.1f}" for graph in graphs]
    return "| " + " | ".join(cells) + " |"


def _higher(zoo: list[Row]) -> str:
    found = [
        f"{r['name']} {p}: {', '.join(r['graphs'][p]['higher'])}"
        for r in zoo
        for p in PRECISIONS
        if r["graphs"][p]["higher"]
    ]
    products = sum(g["products"] for r in zoo for g in r["graphs"].values())
    return "; ".join(found) if found else f"none of {products} convolutions and matrix products."


def _trained_cells(row: Row) -> str:
    engines = [e for e in row["engines"] if e["precision"] == "int8"]
    higher = engines[0]["higher_precision"]
    cells = [
        *(row["model"], f"{row['width']}", f"{row['resolution']}", f"{row['top1']:.3f}"),
        ", ".join(f"{e['bytes'] / 1e6:.2f}" for e in engines),
        f"{engines[0]['weight_bytes'] / 1e6:.2f}",
        f"{len(higher)}, {sum(h['kept'] for h in higher)}",
    ]
    return "| " + " | ".join(cells) + " |"


def _cost(variant: Row) -> list[str]:
    lines = [
        "| width | input | FP32 MB | s | FP16 MB | s | INT8 MB | s |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    each = {row["graph"]: row for row in variant["each"]}
    for width in WIDTHS:
        for side in RESOLUTIONS:
            cells = [str(width), str(side)]
            for precision in PRECISIONS:
                row = each[f"mobilenet_v1-{width}-{side}-{precision}"]
                cells += [f"{row['bytes'] / 1e6:.1f}", f"{row['seconds']:.2f}"]
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def main() -> int:
    """Measure everything; 1 if an engine fails, or if the sixteen take too long."""
    match sys.argv[1:]:
        case ["--one", name]:
            print(json.dumps(measure(name)))
            return 0
        case ["--graphs", folder]:
            write_mobilenets(Path(folder))
            return 0
        case ["--compile", folder, targets, jobs]:
            print(json.dumps(compile_all(Path(folder), tuple(targets.split(",")), int(jobs))))
            return 0
        case ["--fresh"]:
            shutil.rmtree(DONE, ignore_errors=True)
        case names if names:
            for name in names:
                print(_child("--one", name), end="")
            return 0
    from edgecnn.models import ZOO

    variants = kept("mobilenets", mobilenets)
    zoo = [kept(f"zoo-{n}", lambda n=n: json.loads(_child("--one", n))) for n in ZOO]
    trained = [kept(f"trained-{r.model}-{r.width}", lambda r=r: on_disk(r)) for r in TRAINED]
    return write(zoo, trained, variants)


def on_disk(row: Trained) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        return measure_trained(row, Path(folder))


def kept(name: str, make: Callable[[], Any]) -> Any:
    """What was measured before, or is now."""
    file = DONE / f"{name}.json"
    if not file.exists():
        DONE.mkdir(parents=True, exist_ok=True)
        made = json.dumps(make())
        file.write_text(made)
        print(f"{name} is done", file=sys.stderr, flush=True)
    return json.loads(file.read_text())


def write(zoo: list[Row], trained: list[Row], variants: list[Row]) -> int:
    """The results and the page."""
    result = {
        "name": "engines",
        "command": "make engines",
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": harness.machine(),
        "versions": harness.versions_of(
            Path(sys.executable), "torch", "onnx", "onnxruntime", "tensorrt-rtx"
        ),
        "limit_s": LIMIT_S,
        "mobilenets": variants,
        "trained": trained,
        "zoo": zoo,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "engines.json").write_text(json.dumps(result, indent=1) + "\n")
    PAGE.write_text(page(result))
    print(f"written to {PAGE.relative_to(ROOT)}")
    failed = [
        f"{r['name']} {p} {target}: {e['error']}"
        for r in zoo
        for p, g in r["graphs"].items()
        for target, e in g["engines"].items()
        if "error" in e
    ]
    for line in failed:
        print(line)
    slow = min(v["seconds"] for v in variants if len(v["targets"]) == 1) > LIMIT_S
    return int(bool(failed) or slow)


if __name__ == "__main__":
    sys.exit(main())
