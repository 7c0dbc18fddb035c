"""Make a grid, measure it, predict what was not measured, and choose."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from edgecnn.data import DataSet, load_data
from edgecnn.training.family import check_family, fit_family
from edgecnn.training.run import is_run
from edgecnn_export.sweep.folder import PLAN, Folder, Variant
from edgecnn_export.sweep.make import is_made, run_of, use_threads
from edgecnn_export.sweep.measure import Meter, is_measured
from edgecnn_export.sweep.plan import Plan, Point
from edgecnn_export.sweep.predict import LEAST, Fit, Sample, choose_measured, fit_latency
from edgecnn_export.sweep.table import Row, pick, row_of, with_front
from edgecnn_export.sweep.trials import Trials, one_by_one
from edgecnn_runtime.errors import BackendError, InterruptedRunError

Tell = Callable[[str], object]


@dataclass(frozen=True)
class Prediction:
    """How far to trust predicted latencies of one precision.

    Attributes:
        factors: milliseconds of inference for one layer, MAC, value read or written, and weight.
        median_error, worst_error: leave-one-out, as a share; None with too few to leave one out.
    """

    precision: str
    measured: int
    predicted: int
    factors: tuple[float, ...]
    median_error: float | None
    worst_error: float | None


@dataclass(frozen=True)
class Sweep:
    """What `edgecnn sweep` answers with.

    Attributes:
        pick: under the budget or the least accuracy; None where none keeps it or none was given.
        images: held-out ones that judged.
        seconds: what each part took, summed over its variants, of this call and those before.
        problems: what could not be done, a line each.
    """

    model: str
    data: str
    images: int
    device: str
    variants: list[Row]
    pick: Row | None
    predictions: list[Prediction]
    supernet: bool
    seconds: dict[str, float]
    problems: list[str] = field(default_factory=list)


def sweep(
    out: Path,
    plan: Plan,
    meter: Meter | None,
    *,
    trials: Trials = one_by_one,
    measure: int | None = None,
    budget_ms: float | None = None,
    min_top1: float | None = None,
    overwrite: bool = False,
    tell: Tell = lambda _: None,
) -> Sweep:
    """Make and measure all variants of a plan; what `out` has of them already is kept.

    Args:
        meter: where latency is measured; None to measure nothing.
        trials: where networks are made.
        measure: how many networks to measure; the others' latency is predicted. None for all.

    Raises:
        InputError: `out` is something else; a network or data that does not fit.
        InterruptedRunError: on SIGINT; the same call goes on, with the variant that it stopped at.
    """
    folder, data = Folder(out), None
    if plan.supernet and (overwrite or not (out / PLAN).is_file()):
        data = load_data(plan.data, plan.seed)
        check_family([run_of(plan, point, data) for point in plan.points])
    folder.prepare(plan, overwrite=overwrite)
    try:
        _make(folder, plan, trials, tell, data)
        variants = [_made(folder, point) for point in plan.points]
        problems = _measure(folder, variants, meter, measure, tell) if meter else []
    except (KeyboardInterrupt, InterruptedRunError):
        done = sum(is_made(folder, plan, point) for point in plan.points)
        raise InterruptedRunError(
            f"interrupted; {done} of {len(plan.points)} networks are made, the same command goes on"
        ) from None
    rows, predictions = _rows(folder, variants, meter, predict=measure is not None)
    rows = with_front(rows)
    devices = {row.device: None for row in rows if row.device}
    return Sweep(
        model=plan.model,
        data=plan.data,
        images=variants[0].images,
        device="; ".join(devices),
        variants=rows,
        pick=pick(rows, budget_ms=budget_ms, min_top1=min_top1),
        predictions=predictions,
        supernet=plan.supernet,
        seconds=_seconds(folder, variants),
        problems=[*problems, *dict.fromkeys(f"{r.name}: {r.why}" for r in rows if r.why)],
    )


def _make(folder: Folder, plan: Plan, trials: Trials, tell: Tell, data: DataSet | None) -> None:
    missing = [point for point in plan.points if not is_made(folder, plan, point)]
    if not missing:
        return
    if plan.supernet:
        _train_family(folder, plan, tell, data)
    done = len(plan.points) - len(missing)
    for variant in trials(folder, plan, missing, tell):
        done += 1
        best = max((g.top1 for g in variant.graphs if g.top1 is not None), default=0.0)
        tell(f"{variant.point.name}: top-1 {best:.3f}; {done} of {len(plan.points)}")


def _train_family(folder: Folder, plan: Plan, tell: Tell, data: DataSet | None) -> None:
    if all(is_run(folder.run(point)) for point in plan.points):
        return
    began = time.perf_counter()
    use_threads(plan.threads)
    data = data or load_data(plan.data, plan.seed)
    members = {folder.run(point): run_of(plan, point, data) for point in plan.points}
    work, clock = folder.path / "supernet", folder.path / "supernet" / "seconds.json"
    tell(f"training {len(members)} networks as one")
    before = float(clock.read_text()) if clock.is_file() else 0.0
    try:
        fit_family(
            members,
            data,
            work,
            on_member=lambda at, run: tell(
                f"{at.parent.name}: cut out, statistics counted, top-1 {run.metrics['top1']:.3f}"
            ),
        )
    finally:  # of all calls together, those that were interrupted too
        folder.write(clock, round(before + time.perf_counter() - began, 3))


def _made(folder: Folder, point: Point) -> Variant:
    found = folder.variant(point)
    assert found is not None
    return found


def _measure(
    folder: Folder, variants: Sequence[Variant], meter: Meter, count: int | None, tell: Tell
) -> list[str]:
    """Measure what is missing, one at a time; what cannot be measured is told and left out."""
    chosen = list(variants)
    if count is not None and count < len(variants):
        order = choose_measured([variant.features for variant in variants], count)
        chosen = [variants[i] for i in order]
    problems: list[str] = []

    def failed(what: str, error: BackendError) -> None:
        problems.append(f"{what}: {error}")
        tell(problems[-1])

    for number, variant in enumerate(chosen, 1):
        point = variant.point
        missing = [
            graph
            for graph in variant.graphs
            if graph.sha256
            and not is_measured(folder.latency(point, graph.precision), meter, graph.sha256)
        ]
        if not missing:
            continue
        try:
            with meter.bundle(folder.bundle(point)) as measure:
                for graph in missing:
                    began = time.perf_counter()
                    try:
                        found = measure(graph.precision, graph.sha256)
                    except BackendError as error:
                        failed(f"{point.name}, {graph.precision}", error)
                        continue
                    spent = round(time.perf_counter() - began, 3)
                    found = msgspec.structs.replace(found, seconds=spent)
                    folder.write_latency(point, graph.precision, found)
                    tell(
                        f"{point.name}, {graph.precision}: p50 {found.p50:.2f} ms;"
                        f" {number} of {len(chosen)}"
                    )
        except BackendError as error:  # the device is away: it may be there for the next one
            failed(point.name, error)
    return problems


def _rows(
    folder: Folder, variants: Sequence[Variant], meter: Meter | None, *, predict: bool
) -> tuple[list[Row], list[Prediction]]:
    """All rows, predicted latency where it was asked for and nothing was measured."""
    rows, predictions = [], []
    for precision in dict.fromkeys(g.precision for v in variants for g in v.graphs):
        found: list[tuple[Variant, Row]] = []
        samples: list[Sample] = []
        for variant in variants:
            graph = next(g for g in variant.graphs if g.precision == precision)
            measured = folder.latency(variant.point, precision) if meter else None
            if meter and measured and is_measured(measured, meter, graph.sha256):
                rest = measured.p50 - measured.infer_ms
                samples.append(Sample(variant.features, measured.infer_ms, rest))
            else:
                measured = None
            bundle = str(folder.bundle(variant.point))
            found.append((variant, row_of(variant, graph, measured, bundle)))
        fitted = fit_latency(samples) if len(samples) >= LEAST else None
        predicted = 0
        for variant, row in found:
            if predict and fitted and row.bytes and row.p50_ms is None:
                guess = round(fitted.model.predict(variant.features), 4)
                rows.append(replace(row, p50_ms=guess, predicted=True))
                predicted += 1
            else:
                rows.append(row)
        if fitted:
            predictions.append(_prediction(precision, fitted, predicted))
    rows.sort(key=lambda row: -row.macs)  # a network's precisions stay in their order
    return rows, predictions


def _prediction(precision: str, fitted: Fit, predicted: int) -> Prediction:
    return Prediction(
        precision=precision,
        measured=fitted.measured,
        predicted=predicted,
        factors=fitted.model.factors,
        median_error=fitted.median_error,
        worst_error=fitted.worst_error,
    )


def _seconds(folder: Folder, variants: Sequence[Variant]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for variant in variants:
        for part, spent in variant.seconds.items():
            sums[part] = round(sums.get(part, 0.0) + spent, 3)
        for graph in variant.graphs:
            measured = folder.latency(variant.point, graph.precision)
            if measured:
                sums["measure"] = round(sums.get("measure", 0.0) + measured.seconds, 3)
    clock = folder.path / "supernet" / "seconds.json"
    if clock.is_file():
        sums["supernet"] = float(clock.read_text())
    return sums
