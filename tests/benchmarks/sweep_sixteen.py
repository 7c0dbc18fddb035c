"""Sixteen MobileNets: trained as one, exported, measured, predicted, compiled, chosen.

The family of the MobileNet paper (v1, widths 0.25 to 1, inputs 128 to 224) on `terrain`, by the
command line: `edgecnn sweep --supernet` in FP32 and INT8 for this CPU; four of them trained alone,
with as many steps, to compare with; the same runs in three precisions for sm86, 48 engines. What is
done is kept in .cache/bench/sweep, so that a run that was stopped goes on; --fresh begins anew.
Writes results/sweep_sixteen.json and the lower part of docs/sweep.md; run it on a quiet machine. It
takes about forty minutes on two cores.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from datetime import datetime, timezone
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import harness
from harness import CACHE, RESULTS, ROOT

WIDTHS, RESOLUTIONS = (1.0, 0.75, 0.5, 0.25), (224, 192, 160, 128)
ALONE = ((1.0, 128), (0.75, 160), (0.5, 192), (0.25, 224))  # every width and every resolution once
EPOCHS, BATCH = 18, 32  # 522 steps
MEASURED = 6  # from which the other ten are predicted
DONE = CACHE / "sweep"
PAGE = ROOT / "docs" / "sweep.md"
BELOW = "<!-- `make sweep` writes everything below -->"
TRUTH = ROOT / "tests" / "edgecnn" / "models" / "ground_truth.json"

# What the issue asks for.
EXPORT_LIMIT_S, TRAIN_LIMIT_S = 600.0, 1800.0
POINTS_APART, MEDIAN_ERROR = 1.0, 0.10
ENGINES = 48

Row = dict[str, Any]


def options() -> list[object]:
    """What the family is, on the command line."""
    return [
        *("--widths", ",".join(map(str, WIDTHS)), "--resolutions", ",".join(map(str, RESOLUTIONS))),
        *("--epochs", EPOCHS, "--batch", BATCH, "--precisions", "fp32,int8-cpu", "--supernet"),
        *("--model", "mobilenet_v1", "--out", DONE / "family"),
    ]


def edgecnn(verb: str, *arguments: object, may_fail: bool = False) -> Row:
    """Run a verb; its result, and how long it took. What was done before is kept by the sweep.

    `may_fail`: exit status 1, an answer of no, is one too.
    """
    file = DONE / "said.json"
    file.unlink(missing_ok=True)
    began = time.perf_counter()
    command = [sys.executable, "-m", "edgecnn_runtime", verb, *map(str, arguments)]
    ended = subprocess.run([*command, "--json", str(file)], check=False, stdout=sys.stderr)
    if ended.returncode not in (0, int(may_fail)):
        raise SystemExit(f"{' '.join(command)} ended with {ended.returncode}")
    wall = round(time.perf_counter() - began, 3)
    return {"wall_s": wall, "exit": ended.returncode, **json.loads(file.read_text())}


def family() -> Row:
    """All sixteen as one, in FP32 and INT8 for this CPU."""
    return edgecnn("sweep", "terrain", *options())


def alone(width: float, side: int) -> Row:
    """One of them with weights of its own, and as many steps; kept once it is whole."""
    file = DONE / f"alone-{width:g}-{side}.json"
    if not file.exists():
        found = edgecnn(
            *("train", "terrain", "--model", "mobilenet_v1", "--width", width),
            *("--resolution", side, "--epochs", EPOCHS, "--batch", BATCH, "--overwrite"),
            *("--out", DONE / f"alone-{width:g}-{side}"),
        )
        file.write_text(json.dumps(found))
    return {"width": width, "resolution": side, **json.loads(file.read_text())}


def engines() -> Row:
    """The same runs in three precisions, compiled for a GPU that is not here; not measured."""
    runs = [f"{DONE}/family/w{w:g}-r{r}/run" for w, r in product(WIDTHS, RESOLUTIONS)]
    return edgecnn(
        *("sweep", "--out", DONE / "engines", "--target", "sm86", "--compiler", "tensorrt-rtx"),
        *("--precisions", "fp32,fp16,int8", "--measure", 0),
        *(part for run in runs for part in ("--runs", run)),
    )


def counts() -> list[Row]:
    """Parameters and MACs with ImageNet's classes, beside those of the truth."""
    import torch

    from edgecnn.models import build
    from edgecnn.models.cost import cost

    truth = json.loads(TRUTH.read_text())["mobilenet_v1_grid"]
    rows = []
    for variant in truth["variants"]:
        width, side = variant["width"], variant["resolution"]
        with torch.device("meta"):
            found = cost(build("mobilenet_v1", width=width), (3, side, side))
        expected = (truth["params"][str(width)], variant["exact_macs_millions"])
        ours = (found.parameters, round(found.macs / 1e6, 1))
        rows.append({"width": width, "resolution": side, "ours": ours, "truth": expected})
    return rows


def predicted(found: Row) -> list[Row]:
    """Ten of the sixteen from six, by precision: what was measured beside what is predicted."""
    from edgecnn_export.sweep.folder import Features, Folder
    from edgecnn_export.sweep.plan import grid
    from edgecnn_export.sweep.predict import Sample, choose_measured, fit_latency

    folder = Folder(DONE / "family")
    points = grid("mobilenet_v1", ",".join(map(str, WIDTHS)), ",".join(map(str, RESOLUTIONS)))
    counted: list[Features] = []
    for point in points:
        variant = folder.variant(point)
        assert variant is not None
        counted.append(variant.features)
    rows = []
    for precision in dict.fromkeys(r["precision"] for r in found["variants"]):
        samples = []
        for point, features in zip(points, counted, strict=True):
            latency = folder.latency(point, precision)
            assert latency is not None
            rest = latency.p50 - latency.infer_ms
            samples.append(Sample(features, latency.infer_ms, rest))
        chosen = choose_measured(counted, MEASURED)
        model = fit_latency([samples[i] for i in chosen]).model
        for i in (i for i in range(len(points)) if i not in chosen):
            guess, real = model.predict(counted[i]), samples[i].whole_ms
            rows.append(
                {
                    **{"width": points[i].width, "resolution": points[i].height},
                    **{"precision": precision, "measured_ms": round(real, 3)},
                    **{"predicted_ms": round(guess, 3), "error": round(abs(guess / real - 1), 4)},
                }
            )
    return rows


def picks(found: Row) -> list[Row]:
    """Three budgets: what the command picks, and the best by looking at every row.

    One that nothing keeps, one between the two fastest of the front, one that everything keeps.
    """
    rows = found["variants"]
    fastest, second = sorted(r["p50_ms"] for r in rows if r["pareto"])[:2]
    slowest = max(r["p50_ms"] for r in rows)
    answers = []
    for budget in (0.9 * fastest, (fastest + second) / 2, 1.1 * slowest):
        said = edgecnn(
            "sweep", "terrain", *options(), "--budget-ms", f"{budget:.3f}", may_fail=True
        )
        below = [r for r in rows if r["p50_ms"] <= round(budget, 3)]
        best = min(below, key=lambda r: (-r["top1"], r["p50_ms"]), default=None)
        entry = {"budget_ms": round(budget, 3), "exit": said["exit"]}
        answers.append({**entry, "pick": _brief(said["pick"]), "best": _brief(best)})
    return answers


def _brief(row: Row | None) -> Row | None:
    keys = ("width", "resolution", "precision", "top1", "p50_ms")
    return None if row is None else {k: row[k] for k in keys}


def checks(result: Row) -> dict[str, bool]:
    """What the issue asks for, one by one."""
    found, seconds = result["family"], result["family"]["seconds"]
    top1 = {
        (r["width"], r["resolution"]): r["top1"]
        for r in found["variants"]
        if r["precision"] == "fp32"
    }
    return {
        "parameters and MACs of the truth": all(
            tuple(r["ours"]) == tuple(r["truth"]) for r in result["counts"]
        ),
        "exported and measured within 600 s": seconds["export"] + seconds["measure"]
        <= EXPORT_LIMIT_S,
        "trained and judged within 1800 s": seconds["supernet"] <= TRAIN_LIMIT_S,
        "within a point of those trained alone": all(
            100 * (r["top1"] - top1[r["width"], r["resolution"]]) <= POINTS_APART + 1e-9
            for r in result["alone"]
        ),
        "leave-one-out error below 10% in the median": all(
            p["median_error"] < MEDIAN_ERROR for p in found["predictions"]
        ),
        "48 engines": sum(len(r["engines"]) for r in result["engines"]["variants"]) == ENGINES,
        "the picks are the best": all(
            p["pick"] == p["best"] and p["exit"] == int(p["best"] is None) for p in result["picks"]
        ),
    }


def page(result: Row, report: str) -> str:
    """The lower part of docs/sweep.md: the sweep's own report, and what was compared with it."""
    machine, seconds = result["machine"], result["family"]["seconds"]
    report = report.split("\n", 1)[1].replace("](pareto.svg)", "](images/sweep-pareto.svg)")
    report = report.replace("](latency.svg)", "](images/sweep-latency.svg)")
    report = report.replace("\n## ", "\n### ")
    lines = [
        "## Sixteen MobileNets",
        "",
        f"Made by `make sweep` on {result['date'][:10]}: {machine['cores']} cores of"
        f" {machine['cpu']}; supernet {seconds['supernet']:.0f} s, export in two precisions"
        f" {seconds['export']:.0f} s, measuring {seconds['measure']:.0f} s. `terrain` is an easy"
        " data set: it shows that the way works and hardly ranks the variants. Below is the report"
        " that the command wrote, then what it was compared with.",
        report,
        "### Beside networks trained alone",
        "",
        f"As many steps ({EPOCHS} epochs in batches of {BATCH}), with weights of their own; top-1"
        " of the best epoch.",
        "",
        "| width | resolution | alone | in the family | points apart | seconds alone |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    top1 = {
        (r["width"], r["resolution"]): r["top1"]
        for r in result["family"]["variants"]
        if r["precision"] == "fp32"
    }
    for row in result["alone"]:
        shared = top1[row["width"], row["resolution"]]
        lines.append(
            f"| {row['width']:g} | {row['resolution']} | {row['top1']:.3f} | {shared:.3f}"
            f" | {100 * (row['top1'] - shared):+.1f} | {row['seconds']:.0f} |"
        )
    lines += ["", f"### Ten variants predicted from {MEASURED}", ""]
    errors = [row["error"] for row in result["predicted"]]
    lines += [
        f"Median error {100 * median(errors):.1f}%, at most {100 * max(errors):.1f}%.",
        "",
        "| width | resolution | precision | measured, ms | predicted, ms | error |",
        "|---:|---:|---|---:|---:|---:|",
        *(
            f"| {r['width']:g} | {r['resolution']} | {r['precision']} | {r['measured_ms']:.2f}"
            f" | {r['predicted_ms']:.2f} | {100 * r['error']:.1f}% |"
            for r in result["predicted"]
        ),
        "",
        "### Engines for sm86",
        "",
        f"{sum(len(r['engines']) for r in result['engines']['variants'])} engines of the same runs,"
        f" in {result['engines']['seconds']['export']:.0f} s with their export; MB, and of them"
        " weights.",
        "",
        "| width | resolution | FP32 | weights | FP16 | weights | INT8 | weights |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
        *_engine_lines(result["engines"]["variants"]),
        "",
        "### The pick under three budgets",
        "",
        "| budget, ms | pick | top-1 | ms | best of the table |",
        "|---:|---|---:|---:|---|",
    ]
    for row in result["picks"]:
        pick, same = row["pick"], "the same" if row["pick"] == row["best"] else f"{row['best']}"
        what = (
            "none, exit status 1 | - | -"
            if pick is None
            else f"{pick['width']:g}-{pick['resolution']} {pick['precision']}"
            f" | {pick['top1']:.3f} | {pick['p50_ms']:.2f}"
        )
        lines.append(f"| {row['budget_ms']:.2f} | {what} | {same} |")
    lines += ["", "### What was asked for", ""]
    lines += [f"- {what}: {'yes' if held else '**no**'}" for what, held in result["checks"].items()]
    return "\n".join(lines) + "\n"


def _engine_lines(rows: list[Row]) -> list[str]:
    lines = []
    for width, side in product(WIDTHS, RESOLUTIONS):
        cells = [f"{width:g}", str(side)]
        for precision in ("fp32", "fp16", "int8"):
            (row,) = (
                r
                for r in rows
                if (r["width"], r["resolution"], r["precision"]) == (width, side, precision)
            )
            (engine,) = row["engines"]
            cells += [f"{engine['bytes'] / 1e6:.2f}", f"{engine['weight_bytes'] / 1e6:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def main() -> int:
    """Do everything; 1 if something that was asked for does not hold."""
    if sys.argv[1:] == ["--fresh"]:
        shutil.rmtree(DONE, ignore_errors=True)
    DONE.mkdir(parents=True, exist_ok=True)
    found = family()
    report = (DONE / "family" / "report.md").read_text()  # before a budget changes it
    result: Row = {
        "name": "sweep_sixteen",
        "command": "make sweep",
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": harness.machine(),
        "versions": harness.versions_of(
            Path(sys.executable), "torch", "onnx", "onnxruntime", "tensorrt-rtx"
        ),
        "counts": counts(),
        "family": found,
        "predicted": predicted(found),
        "alone": [alone(width, side) for width, side in ALONE],
        "engines": engines(),
        "picks": picks(found),
    }
    result["checks"] = checks(result)
    images = PAGE.parent / "images"
    for name in ("pareto", "latency"):
        shutil.copyfile(DONE / "family" / f"{name}.svg", images / f"sweep-{name}.svg")
    text = page(result, report)
    for row in (*found["variants"], *result["engines"]["variants"]):
        row["bundle"] = Path(row["bundle"]).parent.name  # no path of this machine
    for row in result["alone"]:
        row["run"] = Path(row["run"]).name
    found["pick"] = None
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "sweep_sixteen.json").write_text(json.dumps(result, indent=1) + "\n")
    guide = PAGE.read_text().partition(BELOW)[0]
    PAGE.write_text(f"{guide}{BELOW}\n{text}")
    for what, held in result["checks"].items():
        print(f"{'yes' if held else 'NO ':3} {what}")
    print(f"written to {PAGE.relative_to(ROOT)}")
    return int(not all(result["checks"].values()))


if __name__ == "__main__":
    sys.exit(main())
