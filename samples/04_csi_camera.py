"""A camera on a Jetson's CSI connector: python samples/04_csi_camera.py BUNDLE [PIPELINE] [FRAMES]

PIPELINE is GStreamer's and ends in appsink. It needs an OpenCV that was built with GStreamer, as
JetPack's is and PyPI's is not; `edgecnn doctor` tells which one is here.
"""

import itertools
import sys

import cv2

from edgecnn_runtime import Classifier, Stream
from edgecnn_runtime.camera.live import CameraSource
from edgecnn_runtime.errors import SourceError

# The sensor's picture is scaled by the video unit, in its own memory; the processor converts what
# is left to BGR. drop and max-buffers keep only the newest frame, sync=false does not hold it back.
CSI = (
    "nvarguscamerasrc sensor-id=0"
    " ! video/x-raw(memory:NVMM), width=1280, height=720, framerate=30/1"
    " ! nvvidconv ! video/x-raw, width=640, height=360, format=BGRx"
    " ! videoconvert ! video/x-raw, format=BGR"
    " ! appsink drop=true max-buffers=1 sync=false"
)


def main(bundle: str, pipeline: str = CSI, frames: str = "") -> None:
    def connect() -> cv2.VideoCapture:
        capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)
        if not capture.isOpened():
            raise SourceError(f"GStreamer does not start: gst-launch-1.0 {pipeline}")
        return capture

    camera = CameraSource("csi", connect)  # lost and found again, as by `edgecnn stream`
    with Classifier.open(bundle) as classify, Stream(classify, source=camera) as stream:
        for result in itertools.islice(stream, int(frames) if frames else None):
            best = result.best
            age = f"{result.frame_age_ms:.1f} ms old"
            print(f"{best.label}  {best.probability:.1%}  {age}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
