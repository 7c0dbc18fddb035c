"""The live figures in a terminal: a few lines that stay where they are."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgecnn_runtime.stream.live import Live, Snapshot

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

EVERY = 0.5  # seconds


@contextmanager
def live_terminal(live: Live, notes: Callable[[], str] = str) -> Iterator[None]:
    """Show a stream's figures on standard error until the block ends; only in a terminal.

    Drawn by a thread of its own and rarely, so that a frame waits for it as little as can be. What
    is logged meanwhile stands above the figures.

    Args:
        notes: gives a line that is shown below them.
    """
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.live import Live as Drawing

    console = Console(stderr=True, highlight=False)
    done = threading.Event()
    with Drawing(console=console, auto_refresh=False, transient=True) as drawing, _log_above():

        def draw() -> None:
            while not done.wait(EVERY):
                drawing.update(panel(live.snapshot(), console, notes()), refresh=True)

        thread = threading.Thread(target=draw, name="edgecnn-terminal", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


@contextmanager
def _log_above() -> Iterator[None]:
    """Send the log through Rich's standard error; a handler made earlier holds the real one."""
    handlers = [h for h in logging.getLogger().handlers if isinstance(h, logging.StreamHandler)]
    before = [h.setStream(sys.stderr) for h in handlers if h.stream is sys.__stderr__]
    try:
        yield
    finally:
        for handler in handlers if before else ():
            handler.setStream(sys.__stderr__)


def panel(snapshot: Snapshot, console: Console, note: str = "") -> RenderableType:
    """A snapshot as lines: the answer of each source, and percentiles of each stage."""
    from rich.console import Group

    names = list(snapshot.latest)[: max(1, console.height - 12)]
    lines: list[RenderableType] = []
    lines += [_line(_source_line(snapshot, name)) for name in names]
    lines.append(_table(snapshot))
    for sink in snapshot.sinks:
        if sink.error or sink.dropped:
            text = f"{sink.uri}: {sink.frames} written, {sink.dropped} dropped  {sink.error or ''}"
            lines.append(_line(text))
    if note:
        lines.append(_line(note))
    return Group(*lines)


def _line(text: str) -> Text:
    from rich.text import Text

    return Text(text, no_wrap=True, overflow="ellipsis")


def _source_line(snapshot: Snapshot, name: str) -> str:
    latest = snapshot.latest[name]
    source = next((s for s in snapshot.summary.sources if s.name == name), None)
    answer = f"{latest.label} {latest.probability:.1%}  " if latest.predictions else ""
    text = f"{name}: {answer}age {latest.frame_age_ms:.1f} ms"
    if source is not None:
        text += f"  {source.frames} frames, {source.fps:.1f} fps"
        text += f", {source.dropped} dropped" if source.dropped else ""
        text += f", {source.reconnects} reconnects" if source.reconnects else ""
    return text


def _table(snapshot: Snapshot) -> RenderableType:
    from rich.table import Table

    from edgecnn_runtime.latency.report import digits

    summary = snapshot.summary
    since = {
        "preprocess": summary.stages.preprocess,
        "infer": summary.stages.infer,
        "postprocess": summary.stages.postprocess,
        "end_to_end": summary.end_to_end,
        "frame_age": summary.frame_age,
    }
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    table.add_column("ms, last minute", no_wrap=True)
    for column in ("p50", "p90", "p99", "p99.9", "max"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("since start p50", justify="right")
    table.add_column("p99.9", justify="right", no_wrap=True)
    for stage, p in snapshot.minute.items():
        values = (p.p50, p.p90, p.p99, p.p999, p.max, since[stage].p50, since[stage].p999)
        table.add_row(stage.replace("_", " "), *map(digits, values))
    return table
