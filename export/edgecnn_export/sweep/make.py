"""One network of a sweep: train, export, compile, judge."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from edgecnn.commands.train import describe
from edgecnn.data import DataSet, load_data
from edgecnn.data.splits import some_frames
from edgecnn.evaluation.predict import in_bundle, predict_all
from edgecnn.models.cost import Cost, cost
from edgecnn.training.fit import RESUME, fit, replace_run
from edgecnn.training.run import Run, is_run, read_run
from edgecnn_export.export import ExportResult, export
from edgecnn_export.int8 import Int8Options
from edgecnn_export.sources import Options, open_source
from edgecnn_export.sweep.folder import Engine, Features, Folder, Graph, Variant
from edgecnn_export.sweep.plan import Plan, Point
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.bundle.read import sha256
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import BackendError, CheckFailedError

if TYPE_CHECKING:
    from edgecnn_export.tensorrt.compilers import Compiler
    from edgecnn_export.tensorrt.engines import Compiled

Tell = Callable[[str], object]
# What decides on the graphs; a variant that was made with others is exported again.
SETTINGS = ("precisions", "targets", "compiler", "calibration", "calibration_images", "max_drop")


def is_made(folder: Folder, plan: Plan, point: Point) -> bool:
    """Whether a variant is finished, in the settings of this plan."""
    variant = folder.variant(point)
    if variant is None or variant.made_with != settings(plan) or variant.point != point:
        return False
    if variant.weights != weights_of(point):
        return False
    return (folder.bundle(point) / "manifest.json").is_file()


def settings(plan: Plan) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins({name: getattr(plan, name) for name in SETTINGS})
    return {**found, "precisions": list(plan.precisions)}


def weights_of(point: Point) -> str:
    """The sha256 of an existing run's weights; empty where there is none."""
    file = Path(point.run) / "best.safetensors"
    return sha256(file) if point.run and file.is_file() else ""


def run_of(plan: Plan, point: Point, data: DataSet) -> Run:
    """What to train for a point."""
    return describe(
        data,
        plan.model,
        width=point.width,
        resolution=f"{point.height}x{point.across}",
        recipe=plan.recipe,
        epochs=plan.epochs,
        batch=plan.batch,
        seed=plan.seed,
    )


def make(folder: Folder, plan: Plan, point: Point, tell: Tell = lambda _: None) -> Variant:
    """Make what is missing of a variant; the last thing that is written says that it is whole.

    Raises:
        InterruptedRunError: on SIGINT; training goes on from its last whole epoch.
    """
    use_threads(plan.threads)
    data = load_data(plan.data, plan.seed)
    began = time.perf_counter()
    run = folder.run(point)
    before, weights = folder.variant(point), weights_of(point)
    spent = before.seconds["train"] if before else 0.0
    if not point.run and not is_trained(run):
        tell(f"{point.name}: training")
        resume = (run / RESUME).is_file()
        if not resume:
            replace_run(run)  # its first epoch had not ended
        fit(run_of(plan, point, data), data, run, resume=resume)
        spent = round(time.perf_counter() - began, 3)
    trained = time.perf_counter()
    folder.forget_latency(point)
    tell(f"{point.name}: exporting {', '.join(plan.precisions)}")
    bundle = folder.bundle(point)
    exported, refused = _export(run, bundle, plan)
    engines = _compile(bundle, plan, tell) if plan.targets else {}
    made = _graphs(bundle, exported, engines, data, plan.threads)
    graphs = {graph.precision: graph for graph in (*made, *refused)}
    counted = counts(read_run(run))
    variant = Variant(
        point=point,
        parameters=counted.parameters,
        macs=counted.macs,
        features=features(counted, point.height * point.across),
        run_top1=read_run(run).metrics["top1"],
        graphs=tuple(graphs[precision] for precision in plan.precisions),
        images=len(data.val),
        made_with=settings(plan),
        seconds={
            "train": spent,
            "export": round(time.perf_counter() - trained, 3),
        },
        weights=weights,
    )
    folder.write_variant(variant)
    return variant


def _export(run: Path, bundle: Path, plan: Plan) -> tuple[ExportResult, list[Graph]]:
    """Export a run; precisions that do not give its answers are left out and told.

    One network that INT8 ruins is no reason to end a sweep of sixteen.

    Raises:
        CheckFailedError: no precision gives them.
    """
    int8 = Int8Options(
        calibration=plan.calibration, images=plan.calibration_images, max_drop=plan.max_drop
    )

    def only(precisions: Sequence[str]) -> ExportResult:
        source = open_source(str(run), Options())
        return export(
            source, bundle, data=plan.data, precisions=precisions, int8=int8, advise=False
        )

    try:
        return only(plan.precisions), []
    except CheckFailedError as error:
        if len(plan.precisions) == 1:
            raise
        last = error
    refused = [graph for p in plan.precisions if (graph := _refused(only, p))]
    fine = [p for p in plan.precisions if p not in {graph.precision for graph in refused}]
    if not fine:
        raise last
    return only(fine), refused


def _refused(only: Callable[[Sequence[str]], ExportResult], precision: str) -> Graph | None:
    try:
        only([precision])
    except CheckFailedError as error:
        why = str(error).partition("; ")[0]
        return Graph(precision, bytes=0, sha256="", top1=None, top5=None, why=why)
    return None


def use_threads(count: int) -> None:
    """As many threads in every process and on every machine: sums are rounded in one order."""
    import torch

    torch.set_num_threads(count)


def is_trained(run: Path) -> bool:
    """Whether a run folder is finished, trained alone or cut out of a supernet."""
    if not is_run(run):
        return False
    described = read_run(run)
    if "supernet" in described.made:
        return True
    last = run / "last.json"
    if not last.is_file():
        return False
    epoch: int = msgspec.json.decode(last.read_bytes())["epoch"]
    return epoch >= described.recipe.epochs


def counts(run: Run) -> Cost:
    """Parameters and MACs, layer by layer."""
    import torch

    with torch.device("meta"):
        network = run.network()
    return cost(network, (run.input.channels, run.input.height, run.input.width))


def features(counted: Cost, pixels: int) -> Features:
    """Layers run in order, so what one reads is what the one before wrote."""
    layers = [layer for layer in counted.layers if layer.macs]
    written = [layer.activations for layer in layers]
    read = [*written[:1], *written[:-1]]
    return Features(
        pixels=pixels,
        layers=len(layers),
        macs=counted.macs,
        activations=sum(written) + sum(read),
        weights=sum(layer.parameters for layer in layers),
    )


def resolved_targets(plan: Plan) -> tuple[Compiler, list[str]]:
    """The compiler of a plan, and the GPUs that it compiles for.

    Raises:
        InputError: there is no compiler, or it does not compile for one of them.
    """
    from edgecnn_export.tensorrt.compilers import find_compiler
    from edgecnn_export.tensorrt.targets import resolve_targets
    from edgecnn_runtime.backends.cuda import compute_capability

    compiler = find_compiler(plan.compiler, is_jetson=Path("/etc/nv_tegra_release").exists())
    return compiler, resolve_targets(compiler, plan.targets, compute_capability())


def _compile(bundle: Path, plan: Plan, tell: Tell) -> dict[str, list[Compiled]]:
    from edgecnn_export.tensorrt.build import BuildOptions
    from edgecnn_export.tensorrt.engines import compile_bundle

    compiler, targets = resolved_targets(plan)
    tell(f"{bundle.parent.name}: compiling for {', '.join(targets)}")
    found: dict[str, list[Compiled]] = {}
    for engine in compile_bundle(open_bundle(bundle), compiler, targets, BuildOptions()):
        found.setdefault(engine.precision, []).append(engine)
    return found


def _graphs(
    bundle: Path,
    exported: ExportResult,
    engines: dict[str, list[Compiled]],
    data: DataSet,
    threads: int,
) -> tuple[Graph, ...]:
    hashes = {graph.precision: graph.sha256 for graph in open_bundle(bundle).classifier().onnx}
    graphs = []
    for artifact in exported.artifacts:
        top1 = top5 = None
        why = ""
        try:
            top1, top5 = judge(bundle, artifact.precision, data, threads)
        except BackendError as error:
            why = str(error)
        compiled = tuple(
            Engine(e.file, e.target, e.bytes, e.weight_bytes, e.seconds)
            for e in engines.get(artifact.precision, [])
        )
        graphs.append(
            Graph(
                precision=artifact.precision,
                bytes=artifact.bytes,
                sha256=hashes[artifact.precision],
                top1=top1,
                top5=top5,
                engines=compiled,
                kept=len(artifact.kept),
                why=why,
            )
        )
    return tuple(graphs)


def judge(bundle: Path, precision: str, data: DataSet, threads: int) -> tuple[float, float]:
    """Top-1 and top-5 of a graph on the held-out images, on the way that a device goes."""
    with Classifier.open(
        bundle, backend="onnxruntime", precision=precision, threads=threads
    ) as classify:
        answers = predict_all(in_bundle(classify), some_frames(data.val))
    best = np.argsort(-answers, axis=1, kind="stable")[:, :5]
    right = best == data.val.targets[:, None]
    return float(right[:, 0].mean()), float(right.any(1).mean())
