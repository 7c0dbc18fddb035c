"""What `camera_cpu.py` compares: the CPU time of a frame, at a camera's pace or without pauses.

    python paced_programs.py stream|paced|alone BUNDLE

stream: `run_stream` on a camera; paced: preprocess and infer whenever a frame is due, in one
thread; alone: the two without a pause. None of them makes its frames: those of a film are there.
Prints milliseconds of CPU time a frame, of all threads of the process.
"""

from __future__ import annotations

import json
import sys
import threading
import time

import cv2
import numpy as np
from clip import WIDTH
from numpy.typing import NDArray
from skimage import data

from edgecnn_runtime.camera.live import CameraSource
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.stream.live import Live
from edgecnn_runtime.stream.loop import Stream
from edgecnn_runtime.stream.result import Result
from edgecnn_runtime.stream.run import run_stream

FPS = 30
WARM_UP, FRAMES = 30, 150


def pictures() -> list[NDArray[np.uint8]]:
    """640x480, of a camera that moves: no two that follow each other are alike."""
    photograph = cv2.resize(cv2.cvtColor(data.coffee(), cv2.COLOR_RGB2BGR), (WIDTH + 16, 496))
    return [np.ascontiguousarray(photograph[at : at + 480, at : at + WIDTH]) for at in range(16)]


class Camera:
    """Frames when they are due, as OpenCV's `VideoCapture` gives them."""

    def __init__(self) -> None:
        self._pictures = pictures()
        self._given = 0
        self._due = time.perf_counter()

    def grab(self) -> bool:
        self._due += 1 / FPS
        time.sleep(max(0.0, self._due - time.perf_counter()))
        return True

    def retrieve(self) -> tuple[bool, NDArray[np.uint8]]:
        self._given += 1
        return True, self._pictures[self._given % len(self._pictures)]

    def get(self, prop: int, /) -> float:
        return float(FPS) if prop == cv2.CAP_PROP_FPS else 0.0

    def release(self) -> None:
        pass


class Meter:
    """CPU time of this process from the frame after the warm-up to the last."""

    def __init__(self) -> None:
        self.frames = 0
        self._began_ns = 0
        self.ms_per_frame = 0.0

    def count(self) -> None:
        self.frames += 1
        if self.frames == WARM_UP:
            self._began_ns = time.process_time_ns()
        elif self.frames == WARM_UP + FRAMES:
            self.ms_per_frame = (time.process_time_ns() - self._began_ns) / 1e6 / FRAMES


class Metered(Live):
    """The figures of a stream, as the command line has them followed."""

    def __init__(self, stream: Stream, meter: Meter) -> None:
        super().__init__(stream.summary)
        self._meter = meter

    def record(self, result: Result) -> None:
        super().record(result)
        self._meter.count()


def stream(classify: Classifier, meter: Meter) -> None:
    camera = CameraSource("camera", Camera)
    with Stream(classify, camera, frames=WARM_UP + FRAMES) as running:
        run_stream(running, live=Metered(running, meter))


def paced(classify: Classifier, meter: Meter) -> None:
    camera = Camera()
    for _ in range(WARM_UP + FRAMES):
        camera.grab()
        classify.infer(classify.preprocess(camera.retrieve()[1])[None])
        meter.count()


def alone(classify: Classifier, meter: Meter) -> None:
    camera = Camera()
    for _ in range(WARM_UP + FRAMES):
        classify.infer(classify.preprocess(camera.retrieve()[1])[None])
        meter.count()


def main() -> None:
    meter = Meter()
    with Classifier.open(sys.argv[2]) as classify:
        {"stream": stream, "paced": paced, "alone": alone}[sys.argv[1]](classify, meter)
    threads = threading.active_count()
    json.dump({"cpu_ms_per_frame": meter.ms_per_frame, "threads": threads}, sys.stdout)


if __name__ == "__main__":
    main()
