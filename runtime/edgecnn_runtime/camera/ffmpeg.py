"""RTSP through OpenCV's FFmpeg, without the old frames that its defaults begin with."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from urllib.parse import urlsplit

import cv2

from edgecnn_runtime.camera.patience import Patience
from edgecnn_runtime.camera.quiet import quiet_opencv
from edgecnn_runtime.camera.settings import Decoder, Settings
from edgecnn_runtime.errors import SourceError

PORTS = {"rtsp": 554, "rtsps": 322}
LATE = 0.5  # seconds behind the frame that came soonest
WINDOW = 60.0  # seconds after which the soonest is looked for anew: two clocks drift apart

# By default FFmpeg looks at seconds of a stream before it gives any of it, and those frames come
# late, one after another.
_NO_DELAY = "fflags;nobuffer|probesize;32|analyzeduration;0"
# Of a film that was cut short it would give the last frame with a part of another one.
_WHOLE = "fflags;discardcorrupt"
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


def connect_rtsp(uri: str, shown: str, settings: Settings) -> RtspCapture:
    """Open an RTSP stream.

    Args:
        uri: with user and password, where it needs them.
        shown: the same as it may be printed.

    Raises:
        SourceError: nothing answers there, or what answers gives no video, or no decoder is there.
    """
    _check_answers(uri, shown, settings.patience.open_timeout)
    more = (cv2.CAP_PROP_N_THREADS, 1)  # several decode several frames at once, each later
    with _options.set_to(f"rtsp_transport;{settings.transport}|{_NO_DELAY}"):
        video = _open(uri, settings.decoder, [*timeouts(settings.patience), *more])
    if not video.isOpened():
        raise SourceError(
            f"{shown} answers but gives no video: the path, the user or the password is wrong, or"
            f" it does not send over {settings.transport} (--rtsp-transport)"
        )
    check_decoder(video, shown, settings.decoder)
    return RtspCapture(video)


def open_film(where: str, decoder: Decoder, patience: Patience | None = None) -> cv2.VideoCapture:
    """`cv2.VideoCapture` on a file or a URI that ends, silently; it may not have opened.

    A frame that was cut short is left out, as far as the container tells; MPEG-TS does not.
    A GPU decodes it only where that is asked for: to start one takes longer than many a film.
    """
    limits = timeouts(patience) if patience else ()
    with _options.set_to(_WHOLE):
        return _open(where, "gpu" if decoder == "gpu" else "cpu", [*limits])


def timeouts(patience: Patience) -> tuple[int, ...]:
    """FFmpeg's own limits, as parameters of `cv2.VideoCapture`."""
    return (
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(1000 * patience.open_timeout)),
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(1000 * patience.stall)),
    )


def _open(uri: str, decoder: Decoder, parameters: list[int]) -> cv2.VideoCapture:
    kind = cv2.VIDEO_ACCELERATION_NONE if decoder == "cpu" else cv2.VIDEO_ACCELERATION_ANY
    with quiet_opencv():
        return cv2.VideoCapture(
            uri, cv2.CAP_FFMPEG, [*parameters, cv2.CAP_PROP_HW_ACCELERATION, kind]
        )


def check_decoder(video: cv2.VideoCapture, shown: str, decoder: Decoder) -> None:
    """Raise SourceError where a GPU has to decode and does not; the video is then closed."""
    if decoder != "gpu" or video.get(cv2.CAP_PROP_HW_ACCELERATION) > 0:
        return
    video.release()
    raise SourceError(
        f"{shown} cannot be decoded on a GPU by this OpenCV's FFmpeg; take --decoder auto or cpu"
    )


def _check_answers(uri: str, shown: str, seconds: float) -> None:
    """FFmpeg says only that it failed; a connection of our own says why."""
    parts = urlsplit(uri)
    try:
        host, port = parts.hostname, parts.port or PORTS[parts.scheme.lower()]
    except ValueError:
        raise SourceError(f"{shown} has a port that is no number from 1 to 65535") from None
    if not host:
        raise SourceError(f"{shown} names no host; expected rtsp://HOST[:PORT]/PATH")
    try:
        socket.create_connection((host, port), seconds).close()
    except OSError as error:
        why = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise SourceError(f"{shown}: {host} port {port}: {why}") from None


class RtspCapture:
    """The frames of an opened stream that come when they are due.

    A network that hung gives afterwards what it held back, all at once. Each frame carries the
    sender's time; one that is much later than the soonest is old, and not even decoded.
    """

    def __init__(self, video: cv2.VideoCapture) -> None:
        self._video = video
        self._delay = Delay()

    def grab(self) -> bool:
        while self._video.grab():
            sent = self._video.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if self._delay.of(sent, perf_counter()) <= LATE:
                return True
        return False

    def retrieve(self) -> tuple[bool, object]:
        return self._video.retrieve()

    def get(self, prop: int, /) -> float:
        return self._video.get(prop)

    def release(self) -> None:
        self._video.release()


class Delay:
    """How much later a frame came than the one that came soonest, of the last minute or two."""

    def __init__(self) -> None:
        self._sent = float("-inf")
        self._soonest = self._soonest_before = float("inf")
        self._since = float("-inf")

    def of(self, sent: float, arrived: float) -> float:
        """Seconds, at least 0; 0 where the sender's time does not go on.

        Args:
            sent: the sender's time in seconds, of any origin.
            arrived: ours, of another.
        """
        if sent <= self._sent:
            self._soonest = self._soonest_before = float("inf")
        self._sent = sent
        if arrived > self._since + WINDOW:
            self._soonest_before, self._soonest = self._soonest, float("inf")
            self._since = arrived
        lag = arrived - sent
        self._soonest = min(self._soonest, lag)
        return lag - min(self._soonest, self._soonest_before)


class _Options:
    """FFmpeg's options, which OpenCV reads from the environment of the whole process.

    Attempts with the same options go on at once; one with others waits for them.
    """

    def __init__(self) -> None:
        self._users = 0
        self._are_ours = True
        self._changed = threading.Condition()

    @contextmanager
    def set_to(self, options: str) -> Iterator[None]:
        """Have them set for a block; where a user has set them, they stay as they are."""
        with self._changed:
            self._changed.wait_for(lambda: self._fits(options))
            if not self._users:
                self._are_ours = _OPTIONS not in os.environ
            if self._are_ours:
                os.environ[_OPTIONS] = options
            self._users += 1
        try:
            yield
        finally:
            with self._changed:
                self._users -= 1
                if not self._users:
                    if self._are_ours:
                        del os.environ[_OPTIONS]
                    self._changed.notify_all()

    def _fits(self, options: str) -> bool:
        return not self._users or not self._are_ours or os.environ[_OPTIONS] == options


_options = _Options()
