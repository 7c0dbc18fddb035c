"""Cut the normalisation off a bundle's graph: what a loop by hand would have been given.

python float_graph.py BUNDLE OUT.onnx
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx.utils import Extractor

from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.manifest import Input

PREPARES = {"Transpose", "Cast", "Mul", "Add", "Sub", "Div"}


def without_normalisation(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network and weights, from normalised float32 (N, 3, H, W) to probabilities."""
    tensor = model.graph.input[0].name
    while True:
        (node,) = (n for n in model.graph.node if tensor in n.input)
        if node.op_type not in PREPARES:
            break
        tensor = node.output[0]
    inferred = onnx.shape_inference.infer_shapes(model)
    return Extractor(inferred).extract_model([tensor], [model.graph.output[0].name])


def check_same(whole: onnx.ModelProto, cut: onnx.ModelProto, spec: Input) -> None:
    """Raise AssertionError unless both answer alike: what is compared must do the same work."""
    frame = np.random.default_rng(0).integers(0, 256, (1, spec.height, spec.width, 3), np.uint8)
    floats = (frame / 255 - np.array(spec.mean)) / np.array(spec.std)
    answers = []
    for graph, value in ((whole, frame), (cut, floats.transpose(0, 3, 1, 2).astype(np.float32))):
        session = onnxruntime.InferenceSession(
            graph.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        answers.append(session.run(None, {session.get_inputs()[0].name: value})[0])
    np.testing.assert_allclose(*answers, atol=1e-5)


if __name__ == "__main__":
    bundle = open_bundle(sys.argv[1])
    graph = onnx.load(bundle.file(bundle.onnx("fp32")))
    float_graph = without_normalisation(graph)
    check_same(graph, float_graph, bundle.manifest.input)
    onnx.save(float_graph, Path(sys.argv[2]))
