"""The verb `stream`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn_runtime.backends import POWERS, power_of
from edgecnn_runtime.commands.sinking import (
    Asked,
    EventOption,
    KeepOption,
    KeepUncertainOption,
    PageOption,
    RotateFilesOption,
    SaveEventsOption,
    SmoothOption,
    UnknownOption,
)
from edgecnn_runtime.commands.source_options import (
    CamerasOption,
    DecoderOption,
    EveryFrameOption,
    FormatOption,
    FpsOption,
    LoopOption,
    OpenTimeoutOption,
    RetriesOption,
    RoiOption,
    RotateOption,
    SizeOption,
    SkipOption,
    SourceOption,
    StallOption,
    TransportOption,
)
from edgecnn_runtime.console import (
    BackendOption,
    CompileOption,
    JsonOption,
    PowerOption,
    console,
    write_result,
)
from edgecnn_runtime.errors import InputError, unknown_name

if TYPE_CHECKING:
    from rich.console import Console

    from edgecnn_runtime.stream.loop import Stream
    from edgecnn_runtime.stream.preview import Window
    from edgecnn_runtime.stream.run import StreamReport
    from edgecnn_runtime.stream.summary import SourceSummary, StreamSummary

WINDOWS = ("window", "display://0")


def command(
    bundle: Annotated[str, typer.Argument(help="A bundle folder.")],
    source: SourceOption = None,
    sink: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URI",
            help="window, FILE.mp4, .avi, .jsonl or .csv, -, http://HOST:PORT (the live page),"
            " rtsp://:PORT/PATH, webhook+https://..., mqtt://HOST/TOPIC; repeatable.",
        ),
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Show no window.")] = False,
    page: PageOption = None,
    smooth: SmoothOption = None,
    unknown: UnknownOption = None,
    event: EventOption = None,
    save_events: SaveEventsOption = None,
    keep_uncertain: KeepUncertainOption = None,
    rotate_mb: RotateFilesOption = None,
    keep_mb: KeepOption = None,
    backend: BackendOption = "auto",
    compile: CompileOption = "never",
    precision: Annotated[str | None, typer.Option(help="Of the ONNX graph, as fp32.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Predictions a frame.")] = 5,
    json: JsonOption = None,
    cameras: CamerasOption = None,
    size: SizeOption = None,
    fps: FpsOption = None,
    format: FormatOption = None,
    skip: SkipOption = 0,
    loop: LoopOption = False,
    roi: RoiOption = None,
    rotate: RotateOption = 0,
    every_frame: EveryFrameOption = False,
    stall: StallOption = 5.0,
    retries: RetriesOption = None,
    open_timeout: OpenTimeoutOption = 10.0,
    rtsp_transport: TransportOption = "tcp",
    decoder: DecoderOption = "auto",
    power: PowerOption = None,
) -> int:
    """Classify or filter a camera, a video or a folder, with the age of every frame."""
    from edgecnn_runtime.camera.settings import settings_of
    from edgecnn_runtime.camera.several import open_sources, wanted_sources
    from edgecnn_runtime.camera.sources import is_live
    from edgecnn_runtime.opening import open_model
    from edgecnn_runtime.stream.live import Live
    from edgecnn_runtime.stream.loop import Stream
    from edgecnn_runtime.stream.rotation import rotation_of
    from edgecnn_runtime.stream.run import run_stream, stop_on_signals
    from edgecnn_runtime.stream.sinks import open_sinks, results_waiting
    from edgecnn_runtime.stream.steady import steady_of
    from edgecnn_runtime.stream.terminal import live_terminal

    if save_events and not event:
        raise InputError("--save-events needs to know of which: add --event LABEL:SECONDS")
    uris = [*(sink or []), *Asked(page, save_events, keep_uncertain, source or []).uris()]
    if "-" in uris and json == "-":
        raise InputError("--sink - and --json - both want standard output; give one of them a file")
    out = console("-" if "-" in uris else json)
    settings = settings_of(
        {
            **{"size": size, "fps": fps, "format": format, "skip": skip, "loop": loop, "roi": roi},
            **{"rotate": rotate, "every_frame": every_frame, "stall": stall, "retries": retries},
            **{"open_timeout": open_timeout, "transport": rtsp_transport, "decoder": decoder},
        }
    )
    wanted = wanted_sources(source or [], cameras, settings)
    if power is None:
        paced = any(is_live(one.uri) or one.settings.fps for one in wanted)
        power = "save" if paced else "throughput"
    elif power not in POWERS:
        raise unknown_name("power", power, POWERS)
    opened = open_model(
        bundle,
        backend=backend,
        precision=precision,
        threads=threads,
        power=power,
        compile=compile,
        top_k=top_k,
    )
    with (
        opened as classify,
        Stream(
            classify, open_sources(wanted), frames=frames, every_frame=every_frame, power=power
        ) as stream,
    ):
        is_random = classify.manifest.is_random
        window = _window(uris, headless, is_random)
        if is_random:
            out.print("[bold white on red] RANDOM WEIGHTS [/] the answers mean nothing")
        live = Live(stream.summary)
        steady = steady_of(smooth, unknown, event or [], getattr(classify, "labels", None))
        with stop_on_signals(stream.stop):
            sinks = open_sinks(
                [u for u in uris if u not in WINDOWS],
                lossless=not stream.is_live,
                fps=stream.source.fps,
                random_weights=is_random,
                rotation=rotation_of(rotate_mb, keep_mb),
                live=live,
                waiting=results_waiting(
                    len(stream.sources), every_frame=any(feed.every_frame for feed in stream.feeds)
                ),
            )
            with live_terminal(live, lambda: _power_line(stream)):
                report = run_stream(stream, sinks, window=window, steady=steady, live=live)
    _print(report, out)
    write_result(report, json)
    return 1 if report.sink_errors else 0


def _power_line(stream: Stream) -> str:
    power = power_of(stream.classifier.backend)
    return f"power {power}" if power is not None else ""


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


def _faults(of: StreamSummary | SourceSummary) -> str:
    lost = f", {of.dropped} dropped" if of.dropped else ""
    lost += f", {of.errors} unreadable" if of.errors else ""
    return lost + (f", {of.reconnects} reconnects" if of.reconnects else "")


def _print(report: StreamReport, out: Console) -> None:
    from edgecnn_runtime.latency.report import latency_table, trtexec_lines

    sources = report.sources
    what = sources[0].name if len(sources) == 1 else f"{len(sources)} sources"
    out.print(
        f"{report.model} on {', then '.join(report.backends) or report.backend}:"
        f" {report.frames} frames of {what} at {report.fps:.1f} fps{_faults(report)}",
        markup=False,
    )
    for one in sources if len(sources) > 1 else ():
        ended = f"  ENDED: {one.error}" if one.error else ""
        out.print(
            f"  {one.name}: {one.frames} frames at {one.fps:.1f} fps{_faults(one)}, age"
            f" {one.frame_age.p50:.1f} ms (p99 {one.frame_age.p99:.1f}){ended}",
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
    since = " or ".join(sorted({one.age_from for one in sources}))
    out.print(f"frame age counts from {since} to result, waiting included")
    if report.power is not None:
        out.print(f"power {report.power}: {POWERS[report.power]}")
    out.print(trtexec_lines(report.fps, report.end_to_end), markup=False)
    for sink in report.sinks:
        dropped = f", {sink.dropped} dropped" if sink.dropped else ""
        state = f"  FAILED: {sink.error}" if sink.error else ""
        out.print(f"{sink.uri}: {sink.frames} frames{dropped}{state}", markup=False)
