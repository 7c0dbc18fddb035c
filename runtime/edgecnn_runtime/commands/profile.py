"""The verb `profile`."""

from __future__ import annotations

import re
from contextlib import ExitStack
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn_runtime.console import (
    BackendOrAllOption,
    CompileOption,
    JsonOption,
    console,
    write_result,
)
from edgecnn_runtime.errors import BackendError, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

    from edgecnn_runtime.latency.profile import Profile


def command(
    bundle: Annotated[str, typer.Argument(help="A bundle; for torch also a run folder.")],
    rate: Annotated[
        str, typer.Option(metavar="max|FPS", help="As fast as possible, or paced as a camera.")
    ] = "max",
    idle: Annotated[float, typer.Option(min=0, help="Seconds to pause before each frame.")] = 0.0,
    frames: Annotated[int, typer.Option(min=1, help="Frames to measure after warm-up.")] = 300,
    backend: BackendOrAllOption = "auto",
    compile: CompileOption = "never",
    precision: Annotated[str | None, typer.Option(help="Of the ONNX graph, as fp32.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    frame_size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH", help="Of the camera; 640x480, or what the bundle was made for."
        ),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="And of each layer, as fast as possible.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Latency of each stage in percentiles, on the bundle's own frames."""
    from edgecnn_runtime.backends import BACKENDS, ENGINE_BACKENDS, REFERENCES
    from edgecnn_runtime.latency.side_by_side import show_side_by_side, side_by_side

    fps, size = _rate(rate), _size(frame_size) if frame_size else None
    if fps and idle:
        raise InputError("--rate FPS and --idle S are two ways to pace the loop; give one of them")
    if layers and (fps or idle or backend == "all"):
        raise InputError(
            "--layers is measured as fast as possible and on one backend; leave out --rate,"
            " --idle and --backend all"
        )
    out = console(json)
    if layers:
        from edgecnn_runtime.commands.layers import profile_layers

        profile_layers(bundle, backend, precision, threads, size, frames, out, json)
        return
    if backend != "all":
        result = _profile(bundle, backend, precision, threads, size, frames, fps, idle, compile)
        show(result, out)
        write_result(result, json)
        return
    results: list[Profile] = []
    skipped: dict[str, str] = {}
    for name in (*list(BACKENDS)[1:], *REFERENCES):
        way = compile if name in ENGINE_BACKENDS else "never"
        try:
            results.append(_profile(bundle, name, precision, threads, size, frames, fps, idle, way))
        except BackendError as error:
            skipped[name] = str(error)
            continue
        show(results[-1], out)
    rows = side_by_side(results, bundle, precision)
    show_side_by_side(rows, skipped, out)
    missing = [{"backend": name, "why": why} for name, why in skipped.items()]
    write_result({"profiles": results, "side_by_side": rows, "skipped": missing}, json)
    if not results:
        raise BackendError(f"no backend runs {bundle} here; what each lacks stands above")


def _rate(text: str) -> float | None:
    if text == "max":
        return None
    try:
        fps = float(text)
    except ValueError:
        fps = 0.0
    if not 0 < fps <= 100_000:
        raise InputError(f"--rate {text!r}; expected max or frames a second above 0")
    return fps


def _size(text: str) -> tuple[int, int]:
    """`640x480` -> (height, width)."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise InputError(f"--frame-size {text!r}; expected WIDTHxHEIGHT, as 640x480")
    return int(match[2]), int(match[1])


def _profile(
    bundle: str,
    backend: str,
    precision: str | None,
    threads: int | None,
    size: tuple[int, int] | None,
    count: int,
    rate: float | None,
    idle_s: float,
    compile: str = "never",
) -> Profile:
    from edgecnn_runtime.latency.device import device_of
    from edgecnn_runtime.latency.profile import profile
    from edgecnn_runtime.latency.report import progress
    from edgecnn_runtime.latency.target import open_target

    began = perf_counter()
    with ExitStack() as stack:
        classify = open_target(
            bundle, backend=backend, precision=precision, threads=threads, compile=compile
        )
        stack.callback(classify.close)
        load_ms = (perf_counter() - began) * 1e3
        tick = stack.enter_context(progress(classify.backend.name, count))
        return profile(
            classify,
            camera_frames(bundle, size),
            count=count,
            rate=rate,
            idle_s=idle_s,
            device=device_of(classify.backend.name),
            load_ms=load_ms,
            on_frame=tick,
        )


def camera_frames(bundle: str, size: tuple[int, int] | None) -> list[NDArray[np.uint8]]:
    """Golden frames of a bundle, or held-out ones of a run, as a camera of a size gives them.

    Args:
        size: (height, width).
    """
    from edgecnn_runtime.bundle import open_bundle, read_golden_frames
    from edgecnn_runtime.camera.image import resize_frame
    from edgecnn_runtime.latency.target import is_run, run_frames
    from edgecnn_runtime.manifest import Manifest

    if is_run(bundle):
        return [resize_frame(frame, *(size or (480, 640))) for frame in run_frames(bundle)]
    opened = open_bundle(bundle)
    if size is None and isinstance(opened.manifest, Manifest):
        size = opened.manifest.input.frame
    return [resize_frame(frame, *(size or (480, 640))) for frame in read_golden_frames(opened)]


def show(result: Profile, out: Console) -> None:
    """Print a profile as people read it."""
    from edgecnn_runtime.latency.report import latency_table, trtexec_lines

    pace = f"paced at {result.rate:g} fps" if result.rate else "as fast as possible"
    idle = f", {result.idle_s:g} s idle before each" if result.idle_s else ""
    out.print(f"{', then '.join(result.backends)} on {result.device}", markup=False)
    out.print(
        f"{result.frames} frames {pace}{idle}; load {result.load_ms:.0f} ms, first inference"
        f" {result.first_ms:.1f} ms, {result.warmup_frames} frames of warm-up"
    )
    if result.rate:
        out.print(f"{result.late_starts} frames were due before the one before was done")
    stages = result.stages
    rows = {
        "preprocess": stages.preprocess,
        "infer": stages.infer,
        "postprocess": stages.postprocess,
        "end to end": result.end_to_end,
    }
    out.print(latency_table(rows), soft_wrap=False)
    out.print(trtexec_lines(result.throughput_fps, result.end_to_end), markup=False)
