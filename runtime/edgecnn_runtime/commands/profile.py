"""The verb `profile`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn_runtime.console import (
    BackendOrAllOption,
    CompileOption,
    JsonOption,
    console,
    write_result,
)
from edgecnn_runtime.errors import BackendError, InputError, unknown_name
from edgecnn_runtime.latency.pacing import KEEP_WARM

if TYPE_CHECKING:
    from rich.console import Console

    from edgecnn_runtime.latency.profile import Profile
    from edgecnn_runtime.latency.session import Candidate, Way
    from edgecnn_runtime.latency.turns import Comparison

TURNS = 5


def command(
    bundles: Annotated[
        list[str],
        typer.Argument(
            metavar="BUNDLE ...", help="A bundle, or several in turn; for torch also a run folder."
        ),
    ],
    rate: Annotated[
        str, typer.Option(metavar="max|FPS", help="As fast as possible, or paced as a camera.")
    ] = "max",
    idle: Annotated[float, typer.Option(min=0, help="Seconds to pause before each frame.")] = 0.0,
    keep_warm: Annotated[
        str,
        typer.Option(
            metavar="|".join(KEEP_WARM),
            help="Fill the pauses with inferences, or wait awake, so that clocks stay up.",
        ),
    ] = "no",
    frames: Annotated[
        int, typer.Option(min=1, help="Frames to measure after warm-up, in all turns.")
    ] = 300,
    backend: BackendOrAllOption = "auto",
    compile: CompileOption = "never",
    precision: Annotated[
        str | None, typer.Option(help="Of the ONNX graph, as fp32; several with commas.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    frame_size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH", help="Of the camera; 640x480, or what the bundle was made for."
        ),
    ] = None,
    batch: Annotated[
        str | None, typer.Option(metavar="1,2,4,8", help="Throughput at these batch sizes too.")
    ] = None,
    turns: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"Processes of each, in turn; {TURNS} for a comparison, else this one."
        ),
    ] = None,
    one_process: Annotated[
        bool, typer.Option("--one-process", help="Compare blocks in turn in this process instead.")
    ] = False,
    layers: Annotated[
        bool, typer.Option("--layers", help="And of each layer, with the roofline.")
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.json", help="An older --json of the same: status 1 if this is slower."
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Percent that --against never calls a regression.")
    ] = 5.0,
    csv: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write a row for each profile.")
    ] = None,
    html: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write a page with the distribution drawn.")
    ] = None,
    json: JsonOption = None,
) -> int:
    """Latency of each stage in percentiles, on the bundle's own frames."""
    from edgecnn_runtime.commands.profile_text import show_against, show_comparison

    candidates = _candidates(bundles, backend, precision, compile)
    way = _way(rate, idle, keep_warm, frames, threads, frame_size, batch)
    several = backend == "all" or len(candidates) > 1
    out = console(json)
    if layers:
        if several or way.rate or idle or turns or against or csv:
            raise InputError(
                "--layers is measured as fast as possible, on one bundle and one backend; leave out"
                " --rate, --idle, --turns, --against, --csv and --backend all"
            )
        from edgecnn_runtime.commands.layers import profile_layers

        profile_layers(candidates[0], way, out, json, html)
        return 0
    older = None
    if against:
        if several:
            raise InputError("--against compares one bundle on one backend; name one of each")
        from edgecnn_runtime.latency.baseline import read_baseline

        older = read_baseline(against)
    count = min(frames, turns or (TURNS if several or older else 1))
    found = _measure(candidates, way, count, one_process or backend == "all", out)
    if older and against:
        from edgecnn_runtime.latency.baseline import against as hold

        verdict = hold(found.profiles[0], older, against, tolerance / 100)
        found = replace(found, profiles=[replace(found.profiles[0], against=verdict)])
        show_against(verdict, out)
    show_comparison(found, out)
    _write(found, several, csv, html, json, older)
    if not found.profiles:
        raise BackendError(f"no backend runs {bundles[0]} here; what each lacks stands above")
    judged = found.profiles[0].against
    return int(bool(judged and judged.is_regression))


def _write(
    found: Comparison,
    several: bool,
    csv: str | None,
    html: str | None,
    json: str | None,
    older: Profile | None,
) -> None:
    if csv and found.profiles:
        from edgecnn_runtime.latency.rows import write_rows

        write_rows(found.profiles, csv)
    if html and found.profiles:
        from edgecnn_runtime.latency.page import write_page

        write_page(found, html, baseline=older)
    write_result(found if several else found.profiles[0], json)


def _measure(
    candidates: list[Candidate], way: Way, turns: int, one_process: bool, out: Console
) -> Comparison:
    """In this process where there is one candidate and one turn; and print each profile."""
    from edgecnn_runtime.commands.profile_text import show
    from edgecnn_runtime.latency.report import progress
    from edgecnn_runtime.latency.session import measure
    from edgecnn_runtime.latency.turns import Comparison, in_one_process, in_processes

    if turns == 1 and len(candidates) == 1:
        with progress(candidates[0].bundle, way.frames) as tick:
            found = Comparison([measure(candidates[0], way, tick)], [], [], "one process")
    else:
        run = in_one_process if one_process else in_processes
        with progress("turns", turns * len(candidates)) as tick:
            found = run(candidates, way, turns, tick)
    for profile in found.profiles:
        show(profile, out)
    return found


def _candidates(
    bundles: list[str], backend: str, precision: str | None, compile: str
) -> list[Candidate]:
    """Each bundle on each backend in each precision."""
    from edgecnn_runtime.backends import BACKENDS, ENGINE_BACKENDS, REFERENCES
    from edgecnn_runtime.latency.session import Candidate

    every = [*BACKENDS, *REFERENCES]
    names = every[1:] if backend == "all" else _list(backend)
    for name in names:
        if name not in every:
            raise unknown_name("backend", name, [*every, "all"])
    ways = {
        name: compile if backend != "all" or name in ENGINE_BACKENDS else "never" for name in names
    }
    return [
        Candidate(bundle, name, one, ways[name])
        for bundle in bundles
        for name in names
        for one in (_list(precision) if precision else [None])
    ]


def _way(
    rate: str,
    idle: float,
    keep_warm: str,
    frames: int,
    threads: int | None,
    frame_size: str | None,
    batch: str | None,
) -> Way:
    from edgecnn_runtime.latency.session import Way

    fps = _rate(rate)
    if keep_warm not in KEEP_WARM:
        raise unknown_name("way to keep warm", keep_warm, KEEP_WARM)
    if fps and idle:
        raise InputError("--rate FPS and --idle S are two ways to pace the loop; give one of them")
    if keep_warm != "no" and not (fps or idle):
        raise InputError("--keep-warm fills pauses, and there are none; add --rate FPS or --idle S")
    return Way(
        frames=frames,
        rate=fps,
        idle_s=idle,
        keep_warm=keep_warm,
        threads=threads,
        size=_size(frame_size) if frame_size else None,
        batches=_sizes(batch) if batch else (),
    )


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _sizes(text: str) -> tuple[int, ...]:
    sizes = [int(part) if part.isdecimal() else 0 for part in _list(text)]
    if not sizes or not all(0 < size <= 4096 for size in sizes):
        raise InputError(f"--batch {text!r}; expected sizes from 1 to 4096, as 1,2,4,8")
    return tuple(sizes)


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
