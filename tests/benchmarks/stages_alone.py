"""Each stage of a file's stream alone, one frame after the other, and the bound that they set.

python stages_alone.py BUNDLE CLIP

No loop can be faster than its slowest stage, nor than the processor time of all stages together on
the cores at hand. Inference counts as one thread computes it: with more, they also wait.
"""

import json
import sys
import time

from edgecnn_runtime import Classifier
from edgecnn_runtime.backends.ort.cpu import MOST
from edgecnn_runtime.camera.sources import open_source
from edgecnn_runtime.latency.device import cores


def alone(stage, items):
    """What a stage makes of each item; wall and processor milliseconds for each."""
    wall, processor = time.perf_counter(), time.process_time()
    made = [stage(item) for item in items]
    taken = time.perf_counter() - wall, time.process_time() - processor
    return made, *(1000 * seconds / len(items) for seconds in taken)


classify = Classifier.open(sys.argv[1], backend="onnxruntime", threads=1)
source = open_source(sys.argv[2])
classify(source.read().frame)  # the first allocates
captured, read_ms, read_cpu = alone(lambda _: source.read(), range(200))
source.close()
inputs, prepare_ms, prepare_cpu = alone(lambda c: classify.preprocess(c.frame)[None], captured)
answers, infer_ms, infer_cpu = alone(classify.infer, inputs)
_, decide_ms, decide_cpu = alone(lambda answer: classify.decide(answer[0]), answers)

slowest = max(read_ms + prepare_ms, infer_ms / min(cores(), MOST), decide_ms)
together = (read_cpu + prepare_cpu + infer_cpu + decide_cpu) / cores()
stages = {"read": read_ms, "preprocess": prepare_ms, "infer": infer_ms, "decide": decide_ms}
json.dump({"bound_ms": max(slowest, together), "stages_ms": stages}, sys.stdout)
