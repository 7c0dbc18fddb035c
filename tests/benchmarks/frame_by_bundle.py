"""The same with a bundle of ours.

python frame_by_bundle.py BUNDLE FRAMES.npy
"""

import json
import sys
import time

import numpy as np

from edgecnn_runtime import Classifier

WARM_UP, SECONDS, LEAST = 10, 2.0, 40

classify = Classifier.open(sys.argv[1], backend="onnxruntime", power="latency")


def probabilities(frame):
    return classify.infer(classify.preprocess(frame)[None])[0]


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
