"""Sources that end: images and video files. Every frame is read, in order, none twice."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.camera.ffmpeg import check_decoder, open_film
from edgecnn_runtime.camera.image import read_image
from edgecnn_runtime.camera.patience import Patience
from edgecnn_runtime.camera.quiet import quiet_opencv
from edgecnn_runtime.camera.settings import Decoder
from edgecnn_runtime.camera.source import Captured, stamped
from edgecnn_runtime.errors import SourceError

log = logging.getLogger("edgecnn")


class _FileSource:
    is_live = False
    age_from: Literal["capture", "arrival"] = "capture"
    fps: float | None = None
    reconnects = 0
    dropped = 0

    def __init__(self, name: str) -> None:
        self.name = name
        self.errors = 0
        self._index = 0
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        pass


class ImageSource(_FileSource):
    """Images one after another. A broken one is counted, said and skipped.

    Raises:
        SourceError: the only image cannot be read.
    """

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        super().__init__(name)
        self._paths = iter(paths)
        # The only image has to be good, and to say so before anything starts.
        self._only = read_image(paths[0]) if len(paths) == 1 else None

    def read(self) -> Captured | None:
        """The next image that can be read; None after the last."""
        for path in self._paths:
            if self._stopped:
                return None
            try:
                frame = self._only if self._only is not None else read_image(path)
            except SourceError as error:
                self.errors += 1
                log.warning("%s; skipped", error)
                continue
            captured = stamped(frame, self._index)
            self._index += 1
            return captured
        return None


class FrameSource(_FileSource):
    """One picture that is in memory, uint8 (H, W, 3) BGR."""

    def __init__(self, frame: NDArray[np.uint8], name: str) -> None:
        super().__init__(name)
        self._frame: NDArray[np.uint8] | None = frame

    def read(self) -> Captured | None:
        """The picture; None the second time."""
        frame, self._frame = self._frame, None
        return None if frame is None or self._stopped else stamped(frame, 0)


class VideoSource(_FileSource):
    """A video file.

    Args:
        where: a path, or a URI that FFmpeg reads.
        shown: the same as it may be printed.
        patience: with a URI, what may take how long.

    Raises:
        SourceError: it cannot be opened, has no frame, or no GPU decodes it where one has to.
    """

    def __init__(
        self,
        where: Path | str,
        name: str,
        *,
        shown: str | None = None,
        decoder: Decoder = "auto",
        patience: Patience | None = None,
    ) -> None:
        super().__init__(name)
        self._shown = shown or str(where)
        self._video = open_film(str(where), decoder, patience)
        if not self._video.isOpened() and decoder != "gpu":
            with quiet_opencv():  # an OpenCV without FFmpeg, as on some devices
                self._video = cv2.VideoCapture(str(where))
        if not self._video.isOpened():
            raise SourceError(
                f"{self._shown} does not open as a video: it is damaged, cut short, or in a format"
                " that this OpenCV cannot decode"
            )
        check_decoder(self._video, self._shown, decoder)
        rate = self._video.get(cv2.CAP_PROP_FPS)
        self.fps = rate if 0 < rate < 1000 else None
        self._announced = int(self._video.get(cv2.CAP_PROP_FRAME_COUNT))

    def read(self) -> Captured | None:
        """The next frame; None after the last, with a warning where frames are missing."""
        if self._stopped:
            return None
        good, frame = self._video.read()
        if not good:
            self._check_end()
            return None
        film_s = self._index / self.fps if self.fps else None
        captured = stamped(np.asarray(frame), self._index, film_s)
        self._index += 1
        return captured

    def _check_end(self) -> None:
        if self._index == 0:
            raise SourceError(f"{self._shown} opens as a video but has no frame that decodes")
        missing = self._announced - self._index
        if missing > 0:
            self.errors += 1
            log.warning(
                "%s ends after %d of the %d frames that it announces: it was cut short",
                self._shown,
                self._index,
                self._announced,
            )

    def close(self) -> None:
        """Release the file."""
        self._video.release()
