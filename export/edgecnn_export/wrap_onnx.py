"""Somebody else's ONNX classifier: put the normalisation in front, and the softmax behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgecnn.evaluation.predict import Predict
from edgecnn_export.graph_file import convert_opset, opset_of
from edgecnn_export.older_opset import lowered
from edgecnn_export.read_onnx import read_onnx
from edgecnn_export.sessions import INPUT, float_session, takes_a_batch
from edgecnn_export.sources import Options, Source, make_input, numbered
from edgecnn_export.to_onnx import LOGITS, OUTPUT, GraphOptions, finish
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.manifest import Input, Model
from edgecnn_runtime.preprocess import preprocess


@dataclass(frozen=True)
class ForeignOnnx:
    """A graph with one float (N, C, H, W) input and one (N, classes) output.

    Attributes:
        is_logits: whether its rows are not probabilities already.
    """

    path: Path
    proto: onnx.ModelProto
    height: int
    width: int
    channels: int
    classes: int
    is_logits: bool
    parameters: int

    def predictor(self, spec: Input) -> Predict:
        """The original graph on frames that were preprocessed and normalised outside of it."""
        run = float_session(self.path)
        mean = np.array(spec.mean, np.float32)
        std = np.array(spec.std, np.float32)

        def predict(frames: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
            images = np.stack([preprocess(frame, spec) for frame in frames])
            x = ((images.astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2)
            # One by one: many such graphs have a fixed batch of one.
            rows = [run(np.ascontiguousarray(image[None])) for image in x]
            return _probabilities(np.concatenate(rows), self.is_logits)

        return predict

    def wrapped(
        self, spec: Input, labels: tuple[str, ...], options: GraphOptions
    ) -> onnx.ModelProto:
        """The same graph from uint8 (batch, H, W, C) to probabilities (batch, classes).

        The batch is free where the graph can be freed, and otherwise as fixed as it was.

        Raises:
            InputError: logits were asked for, and the graph answers with probabilities.
        """
        if options.logits and not self.is_logits:
            raise InputError(
                f"{self.path} answers with probabilities; expected logits for --logits"
            )
        freed = self._wrapped(spec, labels, options, batch="batch")
        if takes_a_batch(freed):
            return freed
        return self._wrapped(spec, labels, options, batch=1)

    def _wrapped(
        self, spec: Input, labels: tuple[str, ...], options: GraphOptions, *, batch: str | int
    ) -> onnx.ModelProto:
        model = onnx.ModelProto()
        model.CopyFrom(self.proto)
        own = opset_of(model)
        if own < 13:  # Softmax changed its meaning with 13
            model = convert_opset(model, options.opset)
        elif own > options.opset:
            model = lowered(model, options.opset)
        graph = model.graph
        inside, answer = graph.input[0].name, graph.output[0].name
        if batch != 1:
            _free_batch(graph)
        graph.initializer.extend(_constants(spec))
        head = [
            # Cast first: TensorRT takes uint8 as an input and in no other layer.
            helper.make_node("Cast", [INPUT], ["edgecnn_float"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["edgecnn_float"], ["edgecnn_nchw"], perm=[0, 3, 1, 2]),
            helper.make_node("Mul", ["edgecnn_nchw", "edgecnn_scale"], ["edgecnn_scaled"]),
            helper.make_node("Add", ["edgecnn_scaled", "edgecnn_shift"], [inside]),
        ]
        softmax = helper.make_node("Softmax", [answer], [OUTPUT], axis=1)
        tail = [softmax if self.is_logits else helper.make_node("Identity", [answer], [OUTPUT])]
        if options.logits:
            tail.append(helper.make_node("Identity", [answer], [LOGITS]))
        nodes = [*head, *graph.node, *tail]
        del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
        graph.node.extend(nodes)
        shape: list[str | int | None] = [batch, spec.height, spec.width, spec.channels]
        graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape))
        answers: list[str | int | None] = [batch, self.classes]
        for name in options.outputs:
            graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, answers))
        return finish(model, spec, labels, options, rename=False)


def open_onnx(path: Path, resolution: tuple[int, int] | None) -> ForeignOnnx:
    """Read a graph and find out what it takes and gives.

    Raises:
        InputError: no such file, not ONNX, or not an image classifier.
    """
    proto = read_onnx(path)
    height, width, channels = _input_size(path, proto, resolution)
    run = float_session(path)
    rng = np.random.default_rng(0)
    answers = run(rng.standard_normal((1, channels, height, width), np.float32))
    _check_answers(path, proto, answers)
    sums_to_one = bool(np.allclose(answers.sum(1), 1, atol=1e-3) and (answers >= 0).all())
    return ForeignOnnx(
        path=path,
        proto=proto,
        height=height,
        width=width,
        channels=channels,
        classes=answers.shape[1],
        is_logits=not sums_to_one,
        parameters=sum(int(np.prod(i.dims)) for i in proto.graph.initializer),
    )


def _check_answers(path: Path, proto: onnx.ModelProto, answers: object) -> None:
    expected = "expected float (N, classes): a classifier"
    if not isinstance(answers, np.ndarray) or answers.dtype != np.float32:
        kind = answers.dtype if isinstance(answers, np.ndarray) else type(answers).__name__
        raise InputError(f"{path} answers with {kind}; {expected}")
    if answers.ndim != 2 or answers.shape[0] != 1:
        raise InputError(f"{path} answers with a tensor of {answers.shape}; {expected}")
    if answers.shape[1] < 2:
        raise InputError(f"{path} answers with one number; {expected} of two classes or more")
    last = next((n for n in proto.graph.node if proto.graph.output[0].name in n.output), None)
    if last and last.op_type == "Sigmoid":
        raise InputError(
            f"{path} ends with a sigmoid: each class is answered for itself; expected logits or"
            " probabilities of one class among all, so export it without the sigmoid"
        )


def _input_size(
    path: Path, proto: onnx.ModelProto, resolution: tuple[int, int] | None
) -> tuple[int, int, int]:
    constants = {i.name for i in proto.graph.initializer}
    inputs = [i for i in proto.graph.input if i.name not in constants]
    if len(inputs) != 1 or len(proto.graph.output) != 1:
        raise InputError(
            f"{path} has {len(inputs)} inputs and {len(proto.graph.output)} outputs; expected one"
            " image and one row of answers: a classifier"
        )
    kind = inputs[0].type.tensor_type
    dims = [d.dim_value or None for d in kind.shape.dim]
    if kind.elem_type != TensorProto.FLOAT or len(dims) != 4 or dims[1] not in (1, 3):
        name = TensorProto.DataType.Name(kind.elem_type)
        shown = "x".join(str(d or "?") for d in dims) or "of no shape"
        todo = ""
        if len(dims) == 4 and dims[3] in (1, 3):
            todo = ": channels come first; tf2onnx writes that with --inputs-as-nchw"
        raise InputError(f"{path} takes {name} {shown}; expected FLOAT Nx3xHxW or Nx1xHxW{todo}")
    height, width = dims[2:]
    if height is None or width is None:
        if resolution is None:
            raise InputError(f"{path} takes images of any size; name one with --resolution")
        height, width = resolution
    elif resolution not in (None, (height, width)):
        assert resolution is not None
        raise InputError(
            f"{path} takes {height}x{width}, --resolution says {resolution[0]}x{resolution[1]}"
        )
    return int(height), int(width), int(dims[1] or 3)


def _free_batch(graph: onnx.GraphProto) -> None:
    """A Reshape to a batch of one, as many exporters write it, becomes one to any batch."""
    if graph.input[0].type.tensor_type.shape.dim[0].dim_value != 1:
        return
    shapes = {i.name: i for i in graph.initializer}
    shapes |= {n.output[0]: n.attribute[0].t for n in graph.node if n.op_type == "Constant"}
    for name in {n.input[1] for n in graph.node if n.op_type == "Reshape"} & set(shapes):
        shape = numpy_helper.to_array(shapes[name]).copy()
        if shape.size > 1 and shape[0] == 1 and -1 not in shape:
            shape[0] = -1
            shapes[name].CopyFrom(numpy_helper.from_array(shape, shapes[name].name))


def _constants(spec: Input) -> list[onnx.TensorProto]:
    mean, std = np.array(spec.mean), np.array(spec.std)
    scale = (1 / (255 * std)).astype(np.float32)[:, None, None]
    shift = (-mean / std).astype(np.float32)[:, None, None]
    return [
        numpy_helper.from_array(scale, "edgecnn_scale"),
        numpy_helper.from_array(shift, "edgecnn_shift"),
    ]


def _probabilities(rows: NDArray[np.float32], is_logits: bool) -> NDArray[np.float32]:
    if not is_logits:
        return rows
    e = np.exp(rows - rows.max(1, keepdims=True))
    out: NDArray[np.float32] = e / e.sum(1, keepdims=True)
    return out


def open_onnx_source(path: Path, options: Options) -> Source:
    """Somebody else's graph: float NCHW in, logits or probabilities out."""
    foreign = open_onnx(path, options.resolution)
    size = (foreign.height, foreign.width)
    mean, std = (0.0,) * foreign.channels, (1.0,) * foreign.channels
    spec = make_input(options, size, foreign.channels, mean, std)
    labels = options.labels or numbered(foreign.classes)
    if len(labels) != foreign.classes:
        raise InputError(
            f"{len(labels)} labels for {path}, which answers with {foreign.classes}; expected one"
            " a class, in the order of its outputs"
        )
    return Source(
        model=Model(name=path.stem, resolution=size, parameters=foreign.parameters),
        spec=spec,
        labels=labels,
        weights=f"pretrained {path.name}",
        predict=foreign.predictor(spec),
        graph=lambda options: foreign.wrapped(spec, labels, options),
        provenance={"onnx": str(path)},
    )
