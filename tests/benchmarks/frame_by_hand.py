"""What one writes around an ONNX file of timm: a frame's preprocessing, and the softmax.

    python frame_by_hand.py MODEL.onnx FRAMES.npy

MODEL takes normalised float32 (N, 3, 224, 224) RGB; all options are the libraries' own.
"""

import json
import sys
import time

import cv2
import numpy as np
import onnxruntime

SHORTER, SIDE = 256, 224
SCALE = (1 / (255 * np.array((0.229, 0.224, 0.225)))).astype(np.float32)
SHIFT = (-np.array((0.485, 0.456, 0.406)) / np.array((0.229, 0.224, 0.225))).astype(np.float32)
WARM_UP, SECONDS, LEAST = 10, 2.0, 40

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name


def probabilities(frame):
    height, width = frame.shape[:2]
    short = min(height, width)
    frame = cv2.resize(frame, (SHORTER * width // short, SHORTER * height // short))
    top, left = (frame.shape[0] - SIDE) // 2, round((frame.shape[1] - SIDE) / 2)
    image = cv2.cvtColor(frame[top : top + SIDE, left : left + SIDE], cv2.COLOR_BGR2RGB)
    x = image.astype(np.float32)
    x *= SCALE
    x += SHIFT
    x = np.ascontiguousarray(x.transpose(2, 0, 1)[None])
    logits = session.run(None, {name: x})[0][0]
    e = np.exp(logits - logits.max())
    return e / e.sum()


frames = np.load(sys.argv[2])
samples, answers = [], {}
began = time.perf_counter()
while len(samples) < WARM_UP + LEAST or time.perf_counter() - began < SECONDS:
    number = len(samples) % len(frames)
    started = time.perf_counter()
    answers[number] = probabilities(frames[number])
    samples.append(time.perf_counter() - started)

ms = 1000 * float(np.median(samples[WARM_UP:]))
json.dump({"ms": ms, "probabilities": [answers[i].tolist() for i in sorted(answers)]}, sys.stdout)
