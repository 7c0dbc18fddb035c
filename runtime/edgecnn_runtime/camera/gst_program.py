"""Runs a GStreamer pipeline and writes its frames to standard output.

Run as a program by a Python that has GStreamer's bindings, often the system's and not the one that
the rest runs in: it imports nothing of ours. The pipeline, which may hold a password, comes as the
first line of standard input; where that ends, this ends. Each frame is a `HEAD` and its pixels;
instead of a frame may come, once, why there are no more.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
from typing import Any

HEAD = struct.Struct("<BIIId")  # kind, width, height, bytes that follow, frames a second
FRAME, END, FAILED, MISSING = range(4)


def say(kind: int, content: bytes, width: int = 0, height: int = 0, fps: float = 0.0) -> None:
    """Write one message."""
    out = sys.stdout.buffer
    out.write(HEAD.pack(kind, width, height, len(content), fps) + content)
    out.flush()


def end_with_input() -> None:
    """Nobody reads any more: whatever hangs is left to the kernel."""
    sys.stdin.buffer.read()
    os._exit(0)


def run(gst: Any, text: str) -> None:
    """Give frames until the pipeline ends; raises what GStreamer does where it does not start."""
    pipeline = gst.parse_launch(text)
    sink = pipeline.iterate_all_by_element_factory_name("appsink").next()[1]
    if sink is None:
        raise ValueError("the pipeline has no appsink")
    bus = pipeline.get_bus()
    pipeline.set_state(gst.State.PLAYING)
    try:
        while True:
            sample = sink.emit("try-pull-sample", gst.SECOND // 5)
            if sample is not None:
                give(sample)
                continue
            said = bus.pop_filtered(gst.MessageType.ERROR | gst.MessageType.EOS)
            if said is not None and said.type == gst.MessageType.ERROR:
                raise ValueError(said.parse_error()[0].message)
            if said is not None:
                say(END, b"")
                return
    finally:
        pipeline.set_state(gst.State.NULL)


def give(sample: Any) -> None:
    """Pass on one frame."""
    caps = sample.get_caps().get_structure(0)
    if caps.get_string("format") != "BGR":
        raise ValueError(f"the appsink gets {caps.get_string('format')}; expected BGR")
    width, height = caps.get_int("width")[1], caps.get_int("height")[1]
    told, above, below = caps.get_fraction("framerate")
    buffer = sample.get_buffer()
    pixels = buffer.extract_dup(0, buffer.get_size())
    say(FRAME, pixels, width, height, above / below if told and below else 0.0)


def main() -> None:
    """Run what standard input says."""
    text = sys.stdin.buffer.readline().decode().strip()
    threading.Thread(target=end_with_input, daemon=True).start()
    try:
        import gi

        gi.require_version("Gst", "1.0")
        from gi.repository import Gst
    except (ImportError, ValueError) as error:
        say(MISSING, str(error).encode())
        return
    Gst.init(None)
    try:
        run(Gst, text)
    except BrokenPipeError:
        os._exit(0)
    except Exception as error:  # GLib.Error among them
        say(FAILED, (getattr(error, "message", None) or str(error)).encode())


if __name__ == "__main__":
    main()
