"""GStreamer pipelines, and the CSI cameras that are reached through them."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2

from edgecnn_runtime.camera.connection import Capture
from edgecnn_runtime.camera.quiet import quiet_opencv
from edgecnn_runtime.camera.settings import Settings
from edgecnn_runtime.errors import SourceError

# drop and max-buffers keep only the newest frame, sync=false does not hold it back.
_SINK = "videoconvert ! video/x-raw, format=BGR ! appsink drop=true max-buffers=1 sync=false"
_JETSON = Path("/etc/nv_tegra_release")


def connect_pipeline(pipeline: str, shown: str) -> Capture:
    """Start a pipeline that ends in an appsink.

    Raises:
        SourceError: this OpenCV has no GStreamer, or GStreamer does not start it.
    """
    if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        advice = "take JetPack's own" if _JETSON.exists() else "PyPI's have none; take the system's"
        raise SourceError(
            f"{shown} needs an OpenCV that was built with GStreamer, and {cv2.__version__} at"
            f" {Path(cv2.__file__).parent} was not; {advice}"
            f" ({'apt install python3-opencv' if sys.platform == 'linux' else 'or build one'})"
        )
    with quiet_opencv():
        capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)
    if not capture.isOpened():
        capture.release()
        raise SourceError(f"{shown}: GStreamer does not start it; try it with gst-launch-1.0")
    return capture


def csi_pipeline(sensor: int, settings: Settings) -> str:
    """The pipeline for a camera on a CSI connector: NVIDIA's on a Jetson, libcamera's elsewhere.

    Raises:
        SourceError: another than the first of libcamera's cameras, which have names and no numbers.
    """
    width, height = settings.size or (1280, 720)
    rate = round(settings.fps or 30)
    if _JETSON.exists():
        # The video unit turns NV12 in its own memory into what the processor can read.
        return (
            f"nvarguscamerasrc sensor-id={sensor} ! video/x-raw(memory:NVMM), width={width},"
            f" height={height}, framerate={rate}/1 ! nvvidconv ! video/x-raw, format=BGRx ! {_SINK}"
        )
    if sensor:
        raise SourceError(
            f"csi://{sensor}: libcamera's cameras have names and no numbers; name it in a pipeline:"
            " 'libcamerasrc camera-name=NAME ! video/x-raw', where 'cam -l' lists the names"
        )
    return (
        f"libcamerasrc ! video/x-raw, width={width}, height={height}, framerate={rate}/1 ! {_SINK}"
    )


def whole_pipeline(pipeline: str) -> str:
    """A pipeline as a person wrote it, with an appsink where it has none."""
    return pipeline if "appsink" in pipeline else f"{pipeline.rstrip(' !')} ! {_SINK}"
