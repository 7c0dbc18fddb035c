"""Which classifiers export: the zoo, torchvision and timm, all with random weights.

Each network goes the road of `edgecnn export NAME --random`, parity with PyTorch included, in a
process of its own. What is done is kept in .cache/bench, so that a run that was stopped goes on;
--fresh begins anew. Writes results/export_matrix.json and docs/export-matrix.md. Names as arguments
measure these networks alone and write nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import harness
from harness import CACHE, RESULTS, ROOT
from networks import (
    ATTENTION,
    FAMILIES,
    LIMITS,
    NOT_CONVOLUTIONAL,
    PER_FAMILY,
    SIDE,
    chosen,
    timm_input,
)

PAGE = ROOT / "docs" / "export-matrix.md"
DONE = CACHE / "export_matrix.jsonl"
CROPS = 16  # of colour photographs: one batch
SECONDS = 600  # for one network
# Of what another picture changes in an answer: were they further apart, parity would prove little.
RESOLVED = 0.05
Row = dict[str, Any]


def measure(name: str) -> Row:
    """Export one network. An error is its result."""
    from edgecnn_export.export import export
    from edgecnn_runtime.bundle import open_bundle, read_golden
    from edgecnn_runtime.errors import EdgecnnError

    began = time.perf_counter()
    row: Row = {"name": name, "passed": False}
    try:
        source = _open(name)
        row |= {"resolution": source.spec.height, "parameters": source.model.parameters}
        row["macs"] = source.model.macs
        with tempfile.TemporaryDirectory() as folder:
            exported = export(source, Path(folder) / "bundle", colour=CROPS)
            bundle = open_bundle(Path(folder) / "bundle")
            answers = read_golden(bundle).probabilities
            opset = bundle.manifest.provenance["opset"]
    except EdgecnnError as error:
        return row | {"reason": str(error), "pytorch": _pytorch_alone(name)}
    parity = exported.artifacts[0].parity
    varies = float((abs(answers - answers.mean(0)).max(1) / answers.max(1)).max())
    row |= {
        "exporter": exported.exporter,
        "remarks": exported.remarks,
        "opset": opset,
        "max_share": parity.max_share,
        "top1_agreement": parity.top1_agreement,
        "varies": varies,
        "seconds": round(time.perf_counter() - began, 1),
    }
    return judged(row)


def judged(row: Row) -> Row:
    """An export with its verdict, where the graph gives PyTorch's answers."""
    if row["max_share"] <= RESOLVED * row["varies"]:
        return {**row, "passed": True}
    reason = f"off by {row['max_share']:.0e}, and another picture changes {row['varies']:.0e}"
    return {**row, "passed": False, "reason": reason}


def _open(name: str) -> Any:
    """The source at SIDE, or at its own resolution."""
    from edgecnn_export.logits import OtherInputError
    from edgecnn_export.sources import Options, open_source

    own = _own_resolution(name)
    if min(own) > SIDE:
        try:
            return open_source(name, Options(random=True, resolution=(SIDE, SIDE)))
        except OtherInputError:
            pass
    return open_source(name, Options(random=True, resolution=own))


def _own_resolution(name: str) -> tuple[int, int]:
    library, _, inside = name.partition(":")
    if library == "timm":
        _, height, width = timm_input(inside)
        return height, width
    if library == "torchvision":
        from torchvision import models

        side = models.get_model_weights(inside).DEFAULT.transforms().crop_size[0]
    else:
        from edgecnn.models import entry

        side = entry(name).resolution
    return side, side


def _pytorch_alone(name: str) -> dict[str, str]:
    """What torch.onnx.export makes of the bare network, by exporter: `exports`, or why not."""
    import torch

    from edgecnn_export.to_onnx import what_it_said

    library, _, inside = name.partition(":")
    if library == "timm":
        import timm

        network = timm.create_model(inside)
    elif library == "torchvision":
        from torchvision import models

        network = models.get_model(inside, weights=None)
    else:
        from edgecnn.models import build

        network = build(name)
    network.eval()
    found = {}
    for exporter, how in {
        "torchscript": {"dynamo": False, "dynamic_axes": {"x": {0: "batch"}}, "opset_version": 17},
        "dynamo": {"dynamo": True, "dynamic_shapes": ({0: torch.export.Dim("batch")},)},
    }.items():
        side = _own_resolution(name)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            try:
                example = (torch.zeros(2, 3, *side),)
                torch.onnx.export(network, example, str(path), input_names=["x"], **how)
                found[exporter] = "exports"
            except Exception as error:
                found[exporter] = what_it_said(error)
    return found


def _alone(name: str) -> Row:
    """`measure` in a child process, which may crash or hang."""
    command = [sys.executable, __file__, "--one", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {"name": name, "passed": False, "reason": f"no answer after {SECONDS} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        reason = f"ended with status {done.returncode}: {last}"
        return {"name": name, "passed": False, "reason": reason}
    row: Row = json.loads(lines[-1])
    return row


def page(result: Row) -> str:
    """docs/export-matrix.md."""
    rows = result["networks"]
    passed = [r for r in rows if r["passed"]]
    by_dynamo = [r for r in passed if r["exporter"] == "dynamo"]
    newer = [r for r in passed if r["opset"] > 17]
    exportable = [r for r in rows if r["passed"] or _exports(r)]
    share = len(passed) / max(1, len(exportable))
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    lines = [
        "# Which classifiers export",
        "",
        f"Made by `make export-matrix` on {result['date'][:10]}: {versions}.",
        "",
        f"**{len(passed)} of {len(rows)} pass**, {share:.1%} of the {len(exportable)} that PyTorch"
        " itself can export. Passed means: `edgecnn export NAME --random` wrote a bundle, whose"
        f" graph gave PyTorch's answers to {CROPS} crops of colour photographs within 1e-4 of the"
        " largest probability and a twentieth of what another picture changes, with the same top-1,"
        " and three frames together were answered as each alone. "
        f"{len(passed) - len(by_dynamo)} graphs are of PyTorch's TorchScript exporter,"
        f" {len(by_dynamo)} of its newer one; {len(newer)} have an opset above 17.",
        "",
        "| library | pass | of | largest difference |",
        "|---|---:|---:|---:|",
    ]
    for library in ("zoo", "torchvision", "timm"):
        own = [r for r in rows if _library(r) == library]
        good = [r for r in own if r["passed"]]
        worst = max((r["max_share"] for r in good), default=0)
        lines.append(f"| {library} | {len(good)} | {len(own)} | {worst:.0e} |")
    lines += ["", *_rules(), "", "## Failures", "", *_failures(rows), "", "## All", ""]
    lines += [
        "| name | library | resolution | parameters | exporter | opset | off by | seconds |",
        "|---|---|---:|---:|---|---:|---:|---:|",
        *(_cells(r) for r in rows),
    ]
    return "\n".join(lines) + "\n"


def _rules() -> list[str]:
    return [
        f"How they were chosen, before any was tried. Of the zoo: all. Of torchvision: all"
        f" classification networks but {', '.join(NOT_CONVOLUTIONAL)}, which are not"
        f" convolutional, and those above {LIMITS['torchvision'].parameters / 1e6:.0f} M"
        " parameters."
        f" Of timm: from each of {len(FAMILIES)} convolutional families (its modules) up to"
        f" {PER_FAMILY} networks, evenly spread over those of at most"
        f" {LIMITS['timm'].parameters / 1e6:.0f} M parameters and"
        f" {LIMITS['timm'].macs / 1e9:.0f} GMACs;"
        f" but none whose name has {ATTENTION!r} in it.",
        "",
        f"Resolution: {SIDE}x{SIDE}, or a network's own where that is smaller or where it takes no"
        " other. Weights: random; no layer is left that does nothing (norms, biases and layer"
        " scales are moved from their constants), and batch norms have measured statistics. *Off"
        " by*: the largest difference of a probability, as a share of its picture's largest."
        " Seconds: of the export, on a shared machine.",
    ]


def _failures(rows: list[Row]) -> list[str]:
    failed = [r for r in rows if not r["passed"]]
    if not failed:
        return ["None."]
    lines = ["| name | reason | PyTorch alone |", "|---|---|---|"]
    for r in failed:
        alone = "; ".join(f"{k}: {v}" for k, v in r.get("pytorch", {}).items()) or "not tried"
        cells = [r["name"], r["reason"], alone]
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return lines


def _cells(row: Row) -> str:
    cells = [
        row["name"].rpartition(":")[2],
        _library(row),
        f"{row['resolution']}" if "resolution" in row else "",
        f"{row['parameters']:,}" if "parameters" in row else "",
        row.get("exporter") or "**fails**",
        f"{row.get('opset', '')}",
        f"{row['max_share']:.0e}" if "max_share" in row else "",
        f"{row.get('seconds', '')}",
    ]
    return "| " + " | ".join(cells) + " |"


def _library(row: Row) -> str:
    library, colon, _ = row["name"].partition(":")
    return str(library) if colon else "zoo"


def _exports(row: Row) -> bool:
    """Whether PyTorch alone exports it; what crashed before it was asked counts as if it did."""
    answers = row.get("pytorch", {"": "exports"})
    return "exports" in answers.values()


def main() -> int:
    """Measure every network; 1 if fewer than 98% of those pass that PyTorch can export."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--one"]:
        print(json.dumps(measure(arguments[1])))
        return 0
    names = [a for a in arguments if not a.startswith("--")]
    if names:
        for name in names:
            print(json.dumps(_alone(name)), flush=True)
        return 0
    if "--fresh" in arguments:
        DONE.unlink(missing_ok=True)
    DONE.parent.mkdir(parents=True, exist_ok=True)
    done = (
        {r["name"]: r for r in map(json.loads, DONE.read_text().splitlines())}
        if DONE.exists()
        else {}
    )
    names = chosen()
    for count, name in enumerate(names, 1):
        if name not in done:
            done[name] = _alone(name)
            with DONE.open("a") as file:
                file.write(json.dumps(done[name]) + "\n")
            said = "passed" if done[name]["passed"] else done[name]["reason"]
            print(f"{count} of {len(names)}: {name}: {said}", file=sys.stderr, flush=True)
    return write([done[name] for name in names])


def write(rows: list[Row]) -> int:
    """The results and the page."""
    result = {
        "name": "export_matrix",
        "command": "make export-matrix",
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": harness.machine(),
        "versions": harness.versions_of(
            Path(sys.executable),
            "torch",
            "torchvision",
            "timm",
            "onnx",
            "onnxscript",
            "onnxruntime",
        ),
        "networks": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "export_matrix.json").write_text(json.dumps(result, indent=1) + "\n")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(result))
    passed = sum(r["passed"] for r in rows)
    exportable = sum(r["passed"] or _exports(r) for r in rows)
    print(f"{passed} of {len(rows)} pass; written to {PAGE.relative_to(ROOT)}")
    return int(passed < 0.98 * exportable)


if __name__ == "__main__":
    sys.exit(main())
