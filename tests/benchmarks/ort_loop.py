"""ONNX Runtime's own timing: a bare loop around `run`, and what its profiler says of a run.

    python ort_loop.py MODEL.onnx FRAMES.npy COUNT THREADS

FRAMES is uint8 (N, H, W, C), as the graph takes them. The session has the settings of edgecnn's, so
that the clocks are compared and not the settings.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

WARM_UP_S = 1.0


def session(prefix=""):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = int(sys.argv[4])
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.add_session_config_entry("session.x64quantprecision", "1")
    if prefix:
        options.enable_profiling = True
        options.profile_file_prefix = prefix
    return onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])


def loop(opened, frames, count):
    name = opened.get_inputs()[0].name
    began = time.perf_counter()
    while time.perf_counter() - began < WARM_UP_S:
        opened.run(None, {name: frames[0]})
    spent = []
    for number in range(count):
        started = time.perf_counter()
        opened.run(None, {name: frames[number % len(frames)]})
        spent.append(time.perf_counter() - started)
    return 1000 * float(np.median(spent))


frames = [frame[None] for frame in np.load(sys.argv[2])]
count = int(sys.argv[3])
loop_ms = loop(session(), frames, count)
with tempfile.TemporaryDirectory() as folder:
    profiled = session(str(Path(folder) / "run"))
    loop(profiled, frames, count)
    events = json.loads(Path(profiled.end_profiling()).read_text())
runs = [event["dur"] / 1000 for event in events if event["name"] == "model_run"][-count:]
json.dump({"loop_ms": loop_ms, "own_ms": float(np.median(runs))}, sys.stdout)
