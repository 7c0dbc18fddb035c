"""GStreamer pipelines by its own binding, in a process of a Python that has it."""

from __future__ import annotations

import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.camera import gst_program
from edgecnn_runtime.camera.gst_program import END, FAILED, FRAME, HEAD, MISSING
from edgecnn_runtime.camera.patience import Patience
from edgecnn_runtime.errors import SourceError
from edgecnn_runtime.machine.pythons import pythons

PROGRAM = Path(gst_program.__file__)


def connect_binding(pipeline: str, shown: str, patience: Patience) -> BindingCapture | None:
    """Start a pipeline that ends in an appsink of BGR, and wait for its first frame.

    Returns:
        None where no Python here has the binding.

    Raises:
        SourceError: GStreamer does not start it.
    """
    if sys.platform == "win32":  # whose pipes cannot be waited for
        return None
    for python in pythons():
        capture = BindingCapture(python, pipeline, shown, patience)
        try:
            if capture.begin():
                return capture
        except BaseException:
            capture.release()
            raise
        capture.release()
    return None


class BindingCapture:
    """Frames of a pipeline that runs in a process of its own, as `connection.Capture` wants them.

    A process that hangs in a driver can be ended, which a thread cannot.
    """

    def __init__(self, python: str, pipeline: str, shown: str, patience: Patience) -> None:
        self._shown = shown
        self._patience = patience
        self._fps = 0.0
        self._frame: NDArray[np.uint8] | None = None
        self._first = True
        self._process = subprocess.Popen(
            [python, "-I", str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is for us alone
            bufsize=0,
        )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(" ".join(pipeline.split()).encode() + b"\n")

    def begin(self) -> bool:
        """Wait for the first frame; False where this Python has no binding."""
        return self._receive(self._patience.open_timeout) != MISSING

    def grab(self) -> bool:
        """Wait for the next frame; False at the end.

        Raises:
            SourceError: the pipeline has failed, or gives nothing.
        """
        if self._first:  # which `begin` has taken
            self._first = False
            return self._frame is not None
        return self._receive(self._patience.stall) == FRAME

    def _receive(self, seconds: float) -> int:
        until = monotonic() + seconds
        kind, width, height, count, self._fps = HEAD.unpack(self._read(HEAD.size, until))
        content = self._read(count, until)
        if kind == FRAME:
            # Rows are padded to four bytes.
            rows = np.frombuffer(content, np.uint8).reshape(height, count // height)
            self._frame = np.ascontiguousarray(rows[:, : 3 * width]).reshape(height, width, 3)
        elif kind == FAILED:
            why = " ".join(content.decode(errors="replace").split())
            raise SourceError(f"{self._shown}: GStreamer says: {why}")
        elif kind == END:
            self._frame = None
        return int(kind)

    def _read(self, count: int, until: float) -> bytearray:
        assert self._process.stdout is not None
        content = bytearray(count)
        left, poll = memoryview(content), select.poll()
        poll.register(self._process.stdout.fileno(), select.POLLIN)
        while left:
            if not poll.poll(max(0.0, 1000 * (until - monotonic()))):
                raise SourceError(f"{self._shown} gives no frame")
            got = self._process.stdout.readinto(left)  # type: ignore[attr-defined]  # not buffered
            if not got:
                raise SourceError(f"{self._shown}: GStreamer's process has ended")
            left = left[got:]
        return content

    def retrieve(self) -> tuple[bool, object]:
        return self._frame is not None, self._frame

    def get(self, prop: int, /) -> float:
        return self._fps if prop == cv2.CAP_PROP_FPS else 0.0

    def release(self) -> None:
        """End the process. A second call does nothing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
