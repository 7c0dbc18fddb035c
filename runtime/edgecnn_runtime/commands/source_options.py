"""The options of sources: how they are opened, and what is taken of them."""

from __future__ import annotations

from typing import Annotated

import typer

_PANEL = "Sources"

SourceOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]URI",
        help="Camera number, /dev/videoN, csi://N, rtsp://, http://, screen://, GStreamer pipeline,"
        " video file, image, folder or glob; repeatable.",
        rich_help_panel=_PANEL,
    ),
]
CamerasOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.toml",
        help="More sources: a table for each, with its uri and settings of its own.",
        rich_help_panel=_PANEL,
    ),
]
SizeOption = Annotated[
    str | None,
    typer.Option(metavar="WxH", help="Ask cameras for it.", rich_help_panel=_PANEL),
]
FpsOption = Annotated[
    float | None,
    typer.Option(
        help="Ask cameras for it, take no more, and play files at it.", rich_help_panel=_PANEL
    ),
]
FormatOption = Annotated[
    str | None,
    typer.Option(metavar="MJPG|YUYV", help="Ask cameras for it.", rich_help_panel=_PANEL),
]
SkipOption = Annotated[
    int,
    typer.Option(min=0, help="Frames to leave out after each one.", rich_help_panel=_PANEL),
]
LoopOption = Annotated[
    bool,
    typer.Option("--loop", help="Begin files again where they end.", rich_help_panel=_PANEL),
]
RoiOption = Annotated[
    str | None,
    typer.Option(metavar="X,Y,W,H", help="The part of the turned picture.", rich_help_panel=_PANEL),
]
RotateOption = Annotated[
    int,
    typer.Option(metavar="90|180|270", help="Turn it clockwise.", rich_help_panel=_PANEL),
]
EveryFrameOption = Annotated[
    bool,
    typer.Option(
        "--every-frame",
        help="Of live sources too, as far as a queue of 32 reaches; else the newest only.",
        rich_help_panel=_PANEL,
    ),
]
StallOption = Annotated[
    float,
    typer.Option(
        metavar="S",
        help="Seconds without a new frame after which a live source counts as lost.",
        rich_help_panel=_PANEL,
    ),
]
RetriesOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Attempts in a row before a lost source is given up; for ever by default.",
        rich_help_panel=_PANEL,
    ),
]
OpenTimeoutOption = Annotated[
    float,
    typer.Option(
        metavar="S", help="Seconds that an attempt to connect may take.", rich_help_panel=_PANEL
    ),
]
TransportOption = Annotated[
    str, typer.Option(metavar="tcp|udp", help="Of RTSP.", rich_help_panel=_PANEL)
]
DecoderOption = Annotated[
    str,
    typer.Option(
        metavar="auto|cpu|gpu",
        help="Where video is decoded; auto takes a GPU for RTSP, where FFmpeg can.",
        rich_help_panel=_PANEL,
    ),
]
