"""`edgecnn profile BUNDLE --layers`."""

from __future__ import annotations

from contextlib import ExitStack
from time import perf_counter
from typing import TYPE_CHECKING, Any

from edgecnn_runtime.commands.profile import camera_frames, show
from edgecnn_runtime.console import write_result
from edgecnn_runtime.errors import BackendError

if TYPE_CHECKING:
    from rich.console import Console

    from edgecnn_runtime.backends import Backend
    from edgecnn_runtime.latency.layers import LayerProfile, LayerTime, LayerTimes
    from edgecnn_runtime.latency.peaks import Peaks


def profile_layers(
    bundle: str,
    backend: str,
    precision: str | None,
    threads: int | None,
    size: tuple[int, int] | None,
    count: int,
    out: Console,
    json: str | None,
) -> None:
    """Measure whole frames first, then the layers of the same frames; print and write both.

    Raises:
        BackendError: the backend cannot tell what a layer takes.
    """
    from edgecnn_runtime.latency.device import device_of
    from edgecnn_runtime.latency.layers import layer_profile
    from edgecnn_runtime.latency.profile import profile
    from edgecnn_runtime.latency.report import progress
    from edgecnn_runtime.opening import open_model

    frames = camera_frames(bundle, size)
    began = perf_counter()
    with ExitStack() as stack:
        model = open_model(bundle, backend=backend, precision=precision, threads=threads)
        stack.callback(model.close)
        load_ms = (perf_counter() - began) * 1e3
        timed = _timed(model.backend, bundle, precision, threads)
        device = device_of(model.backend.name)
        tick = stack.enter_context(progress(model.backend.name, count))
        whole = profile(model, frames, count=count, device=device, load_ms=load_ms, on_frame=tick)
        inputs = [model.preprocess(frame) for frame in frames]
        measured = timed.time_layers(inputs, count)
    layers = layer_profile(
        measured,
        backend=whole.backend,
        device=device,
        infer_ms=whole.stages.infer.p50,
        end_to_end_ms=whole.end_to_end.p50,
        peaks=_peaks(whole.backend),
    )
    show(whole, out)
    show_layers(layers, out)
    write_result({"profile": whole, "layers": layers}, json)


def _timed(backend: Backend, bundle: str, precision: str | None, threads: int | None) -> LayerTimes:
    from edgecnn_runtime.backends import CPU_BACKENDS
    from edgecnn_runtime.backends.ort.layers import OrtLayers
    from edgecnn_runtime.backends.switching import SwitchingBackend
    from edgecnn_runtime.bundle import open_bundle
    from edgecnn_runtime.latency.layers import LayerTimes

    if isinstance(backend, SwitchingBackend):  # an engine that has the CPU to spare
        backend = backend.running
    if isinstance(backend, LayerTimes):
        return backend
    if backend.name != "onnxruntime":
        if backend.name in CPU_BACKENDS:
            raise BackendError(
                f"--layers is not measured on {backend.name}; take --backend onnxruntime"
            )
        raise BackendError(
            f"{backend.name} tells when it started a layer and not how long the GPU took; layers"
            " are timed by an engine of TensorRT, or on the CPU with --backend onnxruntime"
        )
    opened = open_bundle(bundle)
    graph = opened.onnx(precision)
    return OrtLayers(opened.file(graph), precision=graph.precision, threads=threads)


def _peaks(backend: str) -> Peaks | None:
    """Of the GPU, where one computes. What a CPU can do at the most is not stated anywhere."""
    from edgecnn_runtime.latency.peaks import peaks_of
    from edgecnn_runtime.machine.driver import find_driver
    from edgecnn_runtime.machine.jetson import find_jetson

    if backend == "onnxruntime":
        return None
    gpus, jetson = find_driver().gpus, find_jetson()
    return peaks_of(gpus[0], jetson.board if jetson else "") if gpus else None


def show_layers(found: LayerProfile, out: Console) -> None:
    """Print the table of layers, then what they leave unexplained."""
    from rich.table import Table
    from rich.text import Text

    from edgecnn_runtime.latency.layers import by_kind, in_another_precision

    table = Table(box=None, pad_edge=False)
    table.add_column("layer")
    table.add_column("kind")
    columns = ("p50 ms", "mean ms", "share", "MMAC", "MB", "GMAC/s", "GB/s")
    roofed = ("bound", "at least ms", "of it") if found.peaks else ()
    typed = ("in",) if any(layer.precision for layer in found.layers) else ()
    for column in (*typed, *columns, *roofed):
        table.add_column(column, justify="right")
    for layer in found.layers:
        figures = _figures(layer, typed=bool(typed), roofed=bool(roofed))
        table.add_row(Text(layer.name), Text(layer.kind), *figures)
    out.print(table, soft_wrap=False)
    if others := in_another_precision(found):
        names = ", ".join(f"{layer.name} ({layer.precision})" for layer in others)
        out.print(Text(f"not in {found.precision}, which was asked for: {names}"))
    kinds = by_kind(found.layers).items()
    out.print("by kind: " + ", ".join(f"{n} {kind} {share:.0%}" for kind, (n, share) in kinds))
    if found.peaks:
        p = found.peaks
        memory = f"{p.gb_per_s:g} GB/s" if p.gb_per_s else "memory unknown"
        out.print(
            f"the most at the highest clocks: FP32 {p.fp32:g}, FP16 {p.fp16:g}, INT8 {p.int8:g}"
            f" tera-operations a second, {memory}"
        )
    _show_rest(found, out)


def _show_rest(found: LayerProfile, out: Console) -> None:
    between, price = found.run_ms - found.layers_ms, found.run_ms - found.infer_ms
    out.print(
        f"p50 of {found.runs} runs, {found.precision}: layers {found.layers_ms:.3f} ms, between"
        f" them {between:.3f}, together {found.run_ms:.3f} while profiled"
    )
    out.print(
        f"not profiled: inference {found.infer_ms:.3f} ms (profiling costs {price:+.3f}), whole"
        f" frame {found.end_to_end_ms:.3f}"
    )


def _figures(layer: LayerTime, *, typed: bool, roofed: bool) -> list[str]:
    seconds = layer.p50_ms / 1e3
    found: list[str] = [layer.precision or "-"] if typed else []
    found += [
        f"{layer.p50_ms:.3f}",
        f"{layer.mean_ms:.3f}",
        f"{layer.share:.1%}",
        _number(layer.macs, 1e6),
        _number(layer.bytes, 1e6),
        _number(layer.macs, 1e9 * seconds),
        _number(layer.bytes, 1e9 * seconds),
    ]
    if roofed:
        least: Any = layer.least_ms
        share = f"{least / layer.p50_ms:.0%}" if least is not None and layer.p50_ms else "-"
        found += [layer.bound or "-", "-" if least is None else f"{least:.4f}", share]
    return found


def _number(value: float | None, unit: float) -> str:
    if value is None or not unit:
        return "-"
    scaled = value / unit
    return (
        f"{scaled:.0f}" if scaled >= 100 else f"{scaled:.1f}" if scaled >= 10 else f"{scaled:.2f}"
    )
