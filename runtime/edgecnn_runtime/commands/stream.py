"""The verb `stream`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn_runtime.commands.sinking import (
    Asked,
    EventOption,
    KeepOption,
    KeepUncertainOption,
    PageOption,
    RotateOption,
    SaveEventsOption,
    SmoothOption,
    UnknownOption,
)
from edgecnn_runtime.console import (
    BackendOption,
    CompileOption,
    JsonOption,
    console,
    write_result,
)
from edgecnn_runtime.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from edgecnn_runtime.stream.preview import Window
    from edgecnn_runtime.stream.run import StreamReport

WINDOWS = ("window", "display://0")


def command(
    bundle: Annotated[str, typer.Argument(help="A bundle folder.")],
    source: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]URI",
            help="Camera number, /dev/videoN, video file, image, folder or glob.",
        ),
    ],
    sink: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URI",
            help="window, FILE.mp4, .avi, .jsonl or .csv, -, http://HOST:PORT (the live page),"
            " webhook+https://..., mqtt://HOST/TOPIC; repeatable.",
        ),
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Show no window.")] = False,
    page: PageOption = None,
    smooth: SmoothOption = None,
    unknown: UnknownOption = None,
    event: EventOption = None,
    save_events: SaveEventsOption = None,
    keep_uncertain: KeepUncertainOption = None,
    rotate_mb: RotateOption = None,
    keep_mb: KeepOption = None,
    backend: BackendOption = "auto",
    compile: CompileOption = "never",
    precision: Annotated[str | None, typer.Option(help="Of the ONNX graph, as fp32.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Predictions a frame.")] = 5,
    json: JsonOption = None,
) -> int:
    """Classify or filter a camera, a video or a folder, with the age of every frame."""
    from edgecnn_runtime.camera.sources import is_live, split_name
    from edgecnn_runtime.opening import open_model
    from edgecnn_runtime.stream.live import Live
    from edgecnn_runtime.stream.loop import Stream
    from edgecnn_runtime.stream.rotation import rotation_of
    from edgecnn_runtime.stream.run import run_stream, stop_on_signals
    from edgecnn_runtime.stream.sinks import open_sinks
    from edgecnn_runtime.stream.steady import steady_of
    from edgecnn_runtime.stream.terminal import live_terminal

    if save_events and not event:
        raise InputError("--save-events needs to know of which: add --event LABEL:SECONDS")
    uris = [*(sink or []), *Asked(page, save_events, keep_uncertain, source).uris()]
    if len(source) > 1:
        raise InputError("one --source in this version, several come in a later one; name one")
    if "-" in uris and json == "-":
        raise InputError("--sink - and --json - both want standard output; give one of them a file")
    out = console("-" if "-" in uris else json)
    name, uri = split_name(source[0])
    opened = open_model(
        bundle,
        backend=backend,
        precision=precision,
        threads=threads,
        spin=not is_live(uri),
        compile=compile,
        top_k=top_k,
    )
    with opened as classify, Stream(classify, uri, name=name, frames=frames) as stream:
        is_random = classify.manifest.is_random
        window = _window(uris, headless, is_random)
        if is_random:
            out.print("[bold white on red] RANDOM WEIGHTS [/] the answers mean nothing")
        live = Live(stream.summary)
        steady = steady_of(smooth, unknown, event or [], getattr(classify, "labels", None))
        with stop_on_signals(stream):
            sinks = open_sinks(
                [u for u in uris if u not in WINDOWS],
                lossless=not stream.source.is_live,
                fps=stream.source.fps,
                random_weights=is_random,
                rotation=rotation_of(rotate_mb, keep_mb),
                live=live,
            )
            with live_terminal(live):
                report = run_stream(stream, sinks, window=window, steady=steady, live=live)
    _print(report, out)
    write_result(report, json)
    return 1 if report.sink_errors else 0


def _window(uris: list[str], headless: bool, is_random: bool) -> Window | None:
    """The window that was asked for, or that goes without saying; None where there can be none."""
    wanted = any(u in WINDOWS for u in uris) or not uris
    if headless or not wanted:
        return None
    from edgecnn_runtime.stream.preview import Window, window_problem

    problem = window_problem()
    if problem is None:
        return Window(random_weights=is_random)
    sys.stderr.write(f"edgecnn stream: {problem}; going on without a window\n")
    return None


def _print(report: StreamReport, out: Console) -> None:
    from edgecnn_runtime.latency.report import latency_table, trtexec_lines

    one = report.sources[0]
    lost = f", {one.dropped} dropped" if one.dropped else ""
    faults = f", {one.errors} unreadable" if one.errors else ""
    faults += f", {one.reconnects} reconnects" if one.reconnects else ""
    out.print(
        f"{report.model} on {', then '.join(report.backends) or report.backend}:"
        f" {report.frames} frames of {one.name}"
        f" at {report.fps:.1f} fps{lost}{faults}",
        markup=False,
    )
    for label, count in list(report.labels.items())[:5]:
        out.print(f"  {count / report.frames:6.1%}  {label}", markup=False)
    stages = report.stages
    out.print(
        latency_table(
            {
                "preprocess": stages.preprocess,
                "infer": stages.infer,
                "postprocess": stages.postprocess,
                "end to end": report.end_to_end,
                "frame age": report.frame_age,
            }
        ),
        soft_wrap=False,
    )
    out.print(f"frame age counts from {one.age_from} to result, waiting included")
    out.print(trtexec_lines(report.fps, report.end_to_end), markup=False)
    for sink in report.sinks:
        dropped = f", {sink.dropped} dropped" if sink.dropped else ""
        state = f"  FAILED: {sink.error}" if sink.error else ""
        out.print(f"{sink.uri}: {sink.frames} frames{dropped}{state}", markup=False)
