"""What runs in the environment of Ultralytics.

python ultralytics_programs.py export OUT.onnx
python ultralytics_programs.py predict MODEL.onnx CLIP.mp4
"""

import json
import os
import sys
import time
from pathlib import Path

SIZE = 224


def export(out: str) -> None:
    """Write yolo11n-cls with random weights as ONNX, the way its users do."""
    from ultralytics import YOLO

    os.chdir(Path(out).parent)  # where it writes
    written = YOLO("yolo11n-cls.yaml").export(format="onnx", imgsz=SIZE, opset=17, simplify=False)
    Path(written).replace(out)


def predict(model: str, clip: str) -> None:
    """Classify the film; the session is opened and warmed before the clock starts."""
    import numpy as np
    from ultralytics import YOLO

    network = YOLO(model, task="classify")
    options = {"imgsz": SIZE, "device": "cpu", "verbose": False}
    network.predict(np.zeros((480, 640, 3), np.uint8), **options)
    began = time.perf_counter()
    results = network.predict(source=clip, stream=True, **options)
    labels = [int(result.probs.top1) for result in results]
    loop_s = time.perf_counter() - began
    print(json.dumps({"frames": len(labels), "loop_s": loop_s, "labels": labels}))


if __name__ == "__main__":
    {"export": export, "predict": predict}[sys.argv[1]](*sys.argv[2:])
