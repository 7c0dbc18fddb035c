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

SCALES = {"Mul", "Div"}
PREPARES = {"Transpose", "Cast", "Add", "Sub"} | SCALES


def without_normalisation(model: onnx.ModelProto, spec: Input) -> onnx.ModelProto:
    """The same network and weights, from normalised float32 (N, 3, H, W) to probabilities."""
    tensor, is_folded = model.graph.input[0].name, True
    while True:
        (node,) = (n for n in model.graph.node if tensor in n.input)
        if node.op_type not in PREPARES:
            break
        is_folded &= node.op_type not in SCALES
        tensor = node.output[0]
    if is_folded:
        unfold(model, node.input[1], spec)
    inferred = onnx.shape_inference.infer_shapes(model)
    return Extractor(inferred).extract_model([tensor], [model.graph.output[0].name])


def unfold(model: onnx.ModelProto, name: str, spec: Input) -> None:
    """Take the normalisation's scale out of the weights of the first convolution."""
    (weight,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    scale = 255 * np.array(spec.std, np.float32).reshape(1, -1, 1, 1)
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * scale, name))


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
    path = bundle.file(bundle.onnx("fp32"))
    graph = onnx.load(path)
    float_graph = without_normalisation(onnx.load(path), bundle.manifest.input)
    check_same(graph, float_graph, bundle.manifest.input)
    onnx.save(float_graph, Path(sys.argv[2]))
