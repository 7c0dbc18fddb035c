"""GStreamer pipelines, and the CSI cameras that are reached through them."""

from __future__ import annotations

from pathlib import Path

import cv2

from edgecnn_runtime.camera.connection import Capture
from edgecnn_runtime.camera.gst_binding import connect_binding
from edgecnn_runtime.camera.patience import Patience
from edgecnn_runtime.camera.quiet import quiet_opencv
from edgecnn_runtime.camera.settings import Settings
from edgecnn_runtime.errors import SourceError

# drop and max-buffers keep only the newest frame, sync=false does not hold it back.
_SINK = "videoconvert ! video/x-raw, format=BGR ! appsink drop=true max-buffers=1 sync=false"
PACKAGES = "python3-gi gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-good"
_JETSON = Path("/etc/nv_tegra_release")


def connect_pipeline(pipeline: str, shown: str, patience: Patience) -> Capture:
    """Start a pipeline that ends in an appsink, by OpenCV or else by GStreamer's own binding.

    Raises:
        SourceError: neither is here, or GStreamer does not start it.
    """
    if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        bound = connect_binding(pipeline, shown, patience)
        if bound is not None:
            return bound
        raise SourceError(
            f"{shown} needs GStreamer's binding for Python, or an OpenCV that was built with"
            f" GStreamer, and {cv2.__version__} at {Path(cv2.__file__).parent} was not:"
            f" sudo apt-get install {PACKAGES}"
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
