"""Video files, which are playable whenever they are there."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.camera.quiet import quiet_opencv
from edgecnn_runtime.stream.overlay import annotate
from edgecnn_runtime.stream.result import Result
from edgecnn_runtime.stream.rotation import Rotation, Series

VIDEO_SUFFIXES = {".mp4": "mp4v", ".avi": "MJPG"}  # codecs that every build of OpenCV carries


class Recording:
    """Write pictures as a video under a temporary name, renamed when the file is whole.

    OpenCV's writer reports no errors, so that a disk that fills is noticed by us: before it is full
    the recording is ended and kept, and a finished file is opened again and its frames counted.

    Raises:
        OSError: the file cannot be made; from `append`, that the disk is full; from `close`, that
            what was written is not whole, and was removed.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        self._fps = fps
        self._video: cv2.VideoWriter | None = None
        self._size = (0, 0)  # (width, height)
        self._frames = 0
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        # The suffix stays, since OpenCV chooses the container by it.
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}.", suffix=f".part{path.suffix}"
        )
        os.close(handle)
        self._part = Path(name)

    def append(self, picture: NDArray[np.uint8]) -> None:
        """Append uint8 (H, W, 3) BGR; pictures of another size are fitted to the first's."""
        if self._video is None:
            self._open(picture)
        assert self._video is not None
        self._check_space(picture.nbytes)
        self._video.write(fitted(picture, self._size))
        self._frames += 1

    def _open(self, picture: NDArray[np.uint8]) -> None:
        self._size = even(picture)
        codec = cv2.VideoWriter.fourcc(*VIDEO_SUFFIXES[self._path.suffix.lower()])
        with quiet_opencv():
            self._video = cv2.VideoWriter(str(self._part), codec, self._fps, self._size)
        if not self._video.isOpened():
            raise OSError(f"this OpenCV cannot write {self._path.suffix} video; try .avi")

    @property
    def size(self) -> int:
        """Bytes on the disk so far; the writer holds back some more."""
        return self._part.stat().st_size if self._frames else 0

    def _check_space(self, frame_bytes: int) -> None:
        """Stop while there is still room for the frame, the writer's buffer and the index."""
        needed = frame_bytes // 2 + 64 * self._frames + (128 << 10)
        if shutil.disk_usage(self._part.parent).free < needed:
            kept = f"the first {self._frames} frames are kept" if self._frames else "nothing kept"
            raise OSError(f"the disk is full, {kept}")

    def close(self) -> None:
        """Finish the file and give it its name."""
        try:
            if self._video is not None:
                self._video.release()
            if not self._frames:
                return
            found = _count_frames(self._part)
            if found != self._frames:
                raise OSError(
                    f"{found} of {self._frames} frames reached the disk: it is full or failing;"
                    " the recording was removed"
                )
            self._part.chmod(0o644)
            self._part.replace(self._path)
        finally:
            with suppress(OSError):
                self._part.unlink(missing_ok=True)

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class VideoFile:
    """The sink that records annotated frames; what it raises is what `Recording` raises."""

    def __init__(
        self,
        path: Path,
        fps: float,
        *,
        random_weights: bool = False,
        rotation: Rotation | None = None,
    ) -> None:
        self._series = Series(path, rotation)
        self._fps = fps
        self._recording: Recording | None = Recording(self._series.next_path(), fps)
        self._random_weights = random_weights
        self._rate: float | None = None
        self._last_utc = 0.0

    def write(self, result: Result) -> None:
        """Annotate and append one frame."""
        self._follow_rate(result)
        if self._recording is None or self._series.is_due(self._recording.size):
            self._begin_next()
        assert self._recording is not None
        self._recording.append(
            annotate(result.shown, result, fps=self._rate, random_weights=self._random_weights)
        )

    def _begin_next(self) -> None:
        self.close()
        self._series.make_room()
        self._recording = Recording(self._series.next_path(), self._fps)

    def _follow_rate(self, result: Result) -> None:
        """Frames a second, smoothed: what the picture shows."""
        now = result.captured_at.timestamp()
        if self._last_utc and now > self._last_utc:
            rate = 1 / (now - self._last_utc)
            self._rate = rate if self._rate is None else 0.9 * self._rate + 0.1 * rate
        self._last_utc = now

    def close(self) -> None:
        """Finish the file and give it its name."""
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.close()


def even(picture: NDArray[np.uint8]) -> tuple[int, int]:
    """Width and height of a film of such pictures: codecs that halve the colour want even sides."""
    return picture.shape[1] // 2 * 2, picture.shape[0] // 2 * 2


def fitted(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale into (width, height) with the aspect kept, the rest black."""
    width, height = size
    if picture.shape[:2] == (height, width):
        return picture
    if 0 <= picture.shape[0] - height < 2 and 0 <= picture.shape[1] - width < 2:
        return np.ascontiguousarray(picture[:height, :width])
    scale = min(height / picture.shape[0], width / picture.shape[1])
    inner = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    small = np.asarray(cv2.resize(picture, inner, interpolation=cv2.INTER_AREA), np.uint8)
    canvas[top : top + inner[1], left : left + inner[0]] = small
    return canvas


def _count_frames(path: Path) -> int:
    """The frames that a finished file announces; 0 where it does not open."""
    with quiet_opencv():
        video = cv2.VideoCapture(str(path))
        try:
            return int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
        finally:
            video.release()
