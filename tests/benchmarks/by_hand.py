"""What one writes without edgecnn: decode, crop, resize, normalise, infer, one after the other.

    python by_hand.py MODEL.onnx CLIP.mp4

MODEL takes normalised float32 (1, 3, 224, 224) RGB; all options are the libraries' own.
"""

import json
import sys
import time

import cv2
import numpy as np
import onnxruntime

MEAN = (255 * 0.485, 255 * 0.456, 255 * 0.406)
STD = np.array((0.229, 0.224, 0.225), np.float32)
SIZE = 224

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
video = cv2.VideoCapture(sys.argv[2])

frames, labels = 0, []
began = time.perf_counter()
while True:
    more, frame = video.read()
    if not more:
        break
    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = cv2.resize(frame[top : top + side, left : left + side], (SIZE, SIZE))
    blob = cv2.dnn.blobFromImage(square, 1 / 255, mean=MEAN, swapRB=True)
    blob /= STD.reshape(1, 3, 1, 1)
    probabilities = session.run(None, {name: blob})[0][0]
    labels.append(int(probabilities.argmax()))
    frames += 1
loop_s = time.perf_counter() - began

json.dump({"frames": frames, "loop_s": loop_s, "labels": labels}, sys.stdout)
