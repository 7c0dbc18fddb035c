"""What the command line says about sinks, as options and as a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

PageOption = Annotated[
    int | None,
    typer.Option(
        "--page",
        metavar="PORT",
        min=1,
        max=65535,
        help="Show pictures and figures at http://127.0.0.1:PORT, and /metrics for Prometheus.",
    ),
]
SmoothOption = Annotated[
    str | None,
    typer.Option(
        metavar="exponential|majority[:SECONDS]",
        help="Smooth the answers over time, so that labels do not flicker.",
    ),
]
UnknownOption = Annotated[
    float | None,
    typer.Option(min=0, max=1, metavar="P", help="Below this probability it is 'unknown'."),
]
EventOption = Annotated[
    list[str] | None,
    typer.Option(metavar="LABEL:SECONDS", help="Tell when a label has held so long; repeatable."),
]
SaveEventsOption = Annotated[
    str | None, typer.Option(metavar="DIR", help="Keep the frame of every event.")
]
KeepUncertainOption = Annotated[
    str | None, typer.Option(metavar="DIR", help="Keep uncertain frames, to be labelled.")
]
RotateFilesOption = Annotated[
    float | None, typer.Option(min=0.001, metavar="MB", help="Begin a new file after so many.")
]
KeepOption = Annotated[
    float | None, typer.Option(min=0.001, metavar="MB", help="Remove a sink's oldest files above.")
]


@dataclass(frozen=True)
class Asked:
    """The options that become sinks."""

    page: int | None = None
    save_events: str | None = None
    keep_uncertain: str | None = None
    sources: Sequence[str] = ()

    def uris(self) -> list[str]:
        """The sinks that they stand for; the page that takes a browser's camera shows it too."""
        named = {
            f"http://127.0.0.1:{self.page}": self.page,
            f"events:{self.save_events}": self.save_events,
            f"uncertain:{self.keep_uncertain}": self.keep_uncertain,
        }
        asked = [uri for uri, value in named.items() if value is not None]
        browsers = [f"http://{host}:{port}" for host, port in map(browser_of, self.sources) if host]
        return [*asked, *(uri for uri in browsers if uri not in asked)]


def browser_of(source: str) -> tuple[str, int]:
    """Host and port of a `browser://` source; no host of any other."""
    from edgecnn_runtime.camera.sources import expand, split_name

    plain = expand(split_name(source)[1])
    if not plain.startswith("browser://"):
        return "", 0
    from edgecnn_runtime.stream.page.browser import browser_address

    return browser_address(plain)
