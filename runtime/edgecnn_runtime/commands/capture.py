"""The verb `capture`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn_runtime.console import JsonOption, console, write_result
from edgecnn_runtime.errors import InputError

if TYPE_CHECKING:
    from edgecnn_runtime.camera.source import Source
    from edgecnn_runtime.stream.capture import Keys, View
    from edgecnn_runtime.stream.collecting import CaptureReport, Collector

SHOW_EVERY = 0.25  # seconds


def command(
    source: Annotated[str, typer.Option(metavar="[NAME=]URI", help="As of `stream`.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Gets train/CLASS and val/CLASS.")],
    classes: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="By default the folders that DIR has already."),
    ] = None,
    begin: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Begin with it, and not with a pause.")
    ] = None,
    every: Annotated[float, typer.Option(min=0, help="Least seconds between two.")] = 0.5,
    difference: Annotated[
        float | None,
        typer.Option(min=0, help="Of 255 levels: what differs by less is skipped; 6 by default."),
    ] = None,
    val: Annotated[float, typer.Option(min=0, max=0.9, help="Share to hold out, by time.")] = 0.2,
    page: Annotated[
        int | None,
        typer.Option(min=1, max=65535, metavar="PORT", help="Buttons at http://127.0.0.1:PORT."),
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Show no window.")] = False,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
    json: JsonOption = None,
) -> int:
    """Collect photographs into class folders: keys switch class, near-duplicates are skipped."""
    from edgecnn_runtime.camera.sources import open_source, split_name
    from edgecnn_runtime.commands.sinking import browser_of
    from edgecnn_runtime.stream.capture import Keys, collect
    from edgecnn_runtime.stream.collecting import Collector
    from edgecnn_runtime.stream.keys import terminal_keys
    from edgecnn_runtime.stream.run import stop_on_signals
    from edgecnn_runtime.stream.similar import LEVELS

    names = [c.strip() for c in classes.split(",")] if classes else _folders(out)
    name, uri = split_name(source)
    with ExitStack() as stack:
        opened = open_source(uri, name=name)
        stack.callback(opened.close)
        levels = LEVELS if difference is None else difference
        collector = Collector(out, names, source=opened.name, every=every, levels=levels, val=val)
        collector.choose(begin or (names[0] if len(names) == 1 else None))
        keys = Keys(collector, names, opened.stop)
        stack.enter_context(stop_on_signals(opened.stop))
        host, port = ("127.0.0.1", page) if page is not None else browser_of(source)
        views = _views(stack, collector, keys, opened, (host, port), headless)
        stack.enter_context(terminal_keys(keys.press))
        on_frame = stack.enter_context(_status(collector, keys))
        try:
            collect(opened, collector, views=views, on_frame=on_frame, frames=frames)
        finally:
            report = collector.finish()
    _print(report, console(json).print)
    write_result(report, json)
    return 0


def _folders(out: Path) -> list[str]:
    train = out / "train"
    found = sorted(p.name for p in train.iterdir() if p.is_dir()) if train.is_dir() else []
    if not found:
        raise InputError(f"{out} has no class yet; name some: --classes apple,pear")
    return found


def _views(
    stack: ExitStack,
    collector: Collector,
    keys: Keys,
    source: Source,
    address: tuple[str, int],
    headless: bool,
) -> list[View]:
    """The page and the window that were asked for and can be had.

    The page that takes a browser's camera has the buttons too. No page where `address` has no host.
    """
    from edgecnn_runtime.stream.capture import CapturePage, CaptureWindow
    from edgecnn_runtime.stream.preview import window_problem

    views: list[View] = []
    host, port = address
    if host:
        try:
            shown = CapturePage(collector, source.name, port, host)
        except OSError as error:
            raise InputError(f"--page {port}: {error.strerror}; name another port") from error
        views.append(shown)
    elif not headless:
        problem = window_problem()
        if problem is None:
            views.append(CaptureWindow(collector, keys))
        else:
            sys.stderr.write(f"edgecnn capture: {problem}; going on without a window\n")
    for view in views:
        stack.callback(view.close)
    return views


@contextmanager
def _status(collector: Collector, keys: Keys) -> Iterator[Callable[[], None]]:
    """A line in the terminal that says what is kept; nothing where it is none."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    due = 0.0
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:

        def show() -> None:
            nonlocal due
            if monotonic() < due:
                return
            due = monotonic() + SHOW_EVERY
            state = collector.state()
            counts = "  ".join(f"{c.name} {c.kept}" for c in state.classes)
            now = f"[{state.current}]" if state.current else "[pause]"
            line = f"{now}  {counts}  skipped {state.skipped}\n{keys.help}"
            live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)

        yield show


def _print(report: CaptureReport, say: Callable[..., None]) -> None:
    for one in report.classes:
        apart = f", {one.apart} between them set apart" if one.apart else ""
        say(f"{one.name}: {one.train} to train, {one.val} held out{apart}", markup=False)
    say(
        f"{report.skipped} near-duplicates skipped of {report.frames} frames of {report.source};"
        f" train with: edgecnn train {report.out} --model NAME --out RUN",
        markup=False,
    )
