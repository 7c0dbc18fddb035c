"""A graph that takes camera frames of one size as they are, and preprocesses them itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxscript import ir

from edgecnn_export.graph_file import check
from edgecnn_export.sessions import INPUT, run_graph
from edgecnn_runtime.manifest import Input
from edgecnn_runtime.preprocess import Matrices, as_matrices, preprocess

Frame = NDArray[np.uint8]
OPSET, IR_VERSION = 17, 8  # of the preprocessing alone


def takes_frames(graph: onnx.ModelProto, spec: Input) -> onnx.ModelProto:
    """Put the preprocessing of `preprocess` in front of a graph, in FP32.

    Args:
        graph: of any precision, from preprocessed uint8 (N, height, width, C).
        spec: with `frame`, the size that the camera gives.

    Returns:
        The same graph from uint8 (N, *spec.frame, 3) BGR.
    """
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    body = model.graph
    cast = _reader(body, INPUT, "Cast")
    transpose = _reader(body, cast.output[0], "Transpose")
    front = _Front(spec)
    front.nodes[-1].output[0] = transpose.output[0]
    rest = [node for node in body.node if node.name not in (cast.name, transpose.name)]
    del body.node[:]
    body.node.extend([*front.nodes, *rest])
    body.initializer.extend(front.constants)
    for dim, size in zip(body.input[0].type.tensor_type.shape.dim[1:], spec.takes, strict=True):
        dim.dim_value = size
    known = [value for value in body.value_info if value.name != cast.output[0]]
    del body.value_info[:]
    body.value_info.extend(known)
    for entry in model.metadata_props:
        if entry.key == "edgecnn.input":
            entry.value = msgspec.json.encode(spec).decode()
    check(ir.from_proto(model))
    return model


def _reader(graph: onnx.GraphProto, value: str, kind: str) -> onnx.NodeProto:
    """The one node that reads a value: every graph of ours begins with a Cast and a Transpose."""
    node: onnx.NodeProto
    (node,) = (node for node in graph.node if value in node.input)
    assert node.op_type == kind, f"{node.name} is a {node.op_type}, expected a {kind}"
    return node


def levels_apart(spec: Input, frames: Sequence[Frame], batch: int = 8) -> int:
    """How far the graph's preprocessing is from `preprocess`, at most, in grey levels.

    Args:
        frames: of the size `spec.frame`.
    """
    model = _alone(spec)
    worst = 0
    for start in range(0, len(frames), batch):
        part = frames[start : start + batch]
        got = run_graph(model, np.stack(part))[0].transpose(0, 2, 3, 1)
        wanted = np.stack([preprocess(frame, spec) for frame in part])
        worst = max(worst, int(np.ceil(np.abs(got - wanted).max())))
    return worst


def _alone(spec: Input) -> onnx.ModelProto:
    front = _Front(spec)
    frames = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["batch", *spec.takes])
    shape = ["batch", spec.channels, spec.height, spec.width]
    levels = helper.make_tensor_value_info(front.last, TensorProto.FLOAT, shape)
    graph = helper.make_graph(front.nodes, "preprocess", [frames], [levels], front.constants)
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)


class _Front:
    """Nodes, one after the other, and constants: uint8 (N, H, W, 3) -> float (N, C, h, w)."""

    def __init__(self, spec: Input) -> None:
        assert spec.frame is not None
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.last = INPUT
        matrices = as_matrices(spec, *spec.frame)
        # Cast first: TensorRT takes uint8 as an input and in no other layer.
        self._add("Cast", to=TensorProto.FLOAT)
        self._add("Transpose", perm=[0, 3, 1, 2])
        self._average(matrices, spec.frame)
        self._weigh(matrices)
        self._mix(matrices.mix)
        if spec.invert:
            white = self._constant("white", np.float32(255))
            self._add("Sub", inputs=[white, self.last])
        if matrices.place is not None:
            self._frame_by_border(matrices, spec)

    def _average(self, matrices: Matrices, size: tuple[int, int]) -> None:
        """Of the frame only what is read, and of that whole blocks as pixels."""
        top, left, _, _ = matrices.blocks
        side = matrices.side
        starts, ends = [], []
        for first, weights in ((top, matrices.rows), (left, matrices.columns)):
            part = _nonzero(weights)
            starts.append(first + part.start * side)
            ends.append(first + part.stop * side)
        if starts != [0, 0] or tuple(ends) != size:
            bounds = [self._constant("top_left", starts), self._constant("bottom_right", ends)]
            self._add("Slice", inputs=[self.last, *bounds, self._constant("axes", [2, 3])])
        if side > 1:
            self._add("AveragePool", kernel_shape=[side, side], strides=[side, side])
            if side == 2:  # OpenCV rounds half up here, and else to the even
                half = self._constant("blocks.half", np.float32(0.5))
                self._add("Add", "blocks/Add", [self.last, half])
                self._add("Floor", "blocks/Floor")
            else:
                self._add("Round", "blocks/Round")

    def _weigh(self, matrices: Matrices) -> None:
        columns, rows = (m[:, _nonzero(m)] for m in (matrices.columns, matrices.rows))
        wide, high = (not np.array_equal(m, np.eye(len(m))) for m in (columns, rows))
        if matrices.filter == "antialias":
            if wide:
                self._by_columns(columns)
                self._round("columns", columns)
            if high:
                self._by_rows(rows)
                self._round("rows", rows)
        elif wide or high:
            self._linear(rows, columns)

    def _linear(self, rows: NDArray[np.float32], columns: NDArray[np.float32]) -> None:
        """OpenCV's exact filter for uint8: weights of 8 bits, and one rounding, at the end."""
        self._by_columns(_of_8_bits(columns))
        self._by_rows(_of_8_bits(rows))  # of 24 bits, which FP32 has
        self._add("Add", "rows/Add", [self.last, self._constant("half", np.float32(0.5))])
        self._add("Floor", "rows/Floor")

    def _by_columns(self, weights: NDArray[Any]) -> None:
        self._add("MatMul", "columns", [self.last, self._constant("columns", _float(weights.T))])

    def _by_rows(self, weights: NDArray[Any], name: str = "rows") -> None:
        self._add("MatMul", name, [self._constant(name, _float(weights)), self.last])

    def _round(self, name: str, weights: NDArray[np.float32]) -> None:
        """To grey levels, as uint8 would; only negative weights lead beyond black and white."""
        self._add("Round", f"{name}/Round")
        if weights.min() < 0:
            limits = [self._constant(f"{name}.{n}", np.float32(n)) for n in (0, 255)]
            self._add("Clip", f"{name}/Clip", [self.last, *limits])

    def _mix(self, mix: NDArray[np.float32]) -> None:
        if np.array_equal(mix, np.eye(3)):
            return
        self._add("Conv", "color", [self.last, self._constant("color", mix[:, :, None, None])])
        if not set(np.unique(mix)) <= {0, 1}:
            self._add("Round", "color/Round")

    def _frame_by_border(self, matrices: Matrices, spec: Input) -> None:
        assert matrices.place is not None
        top, left = matrices.place
        bottom = spec.height - top - len(matrices.rows)
        right = spec.width - left - len(matrices.columns)
        margins = self._constant("margins", np.array([0, 0, top, left, 0, 0, bottom, right]))
        border = self._constant("border", np.float32(spec.border))
        self._add("Pad", inputs=[self.last, margins, border])

    def _add(
        self, kind: str, name: str = "", inputs: Sequence[str] = (), **attributes: Any
    ) -> None:
        name = f"preprocess/{name or kind}"
        node = helper.make_node(kind, inputs or [self.last], [name], name, **attributes)
        self.nodes.append(node)
        self.last = name

    def _constant(self, name: str, array: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(array), f"preprocess.{name}"))
        return f"preprocess.{name}"


def _nonzero(matrix: NDArray[np.float32]) -> slice:
    """The part of the frame that is read."""
    read = np.flatnonzero(matrix.any(axis=0))
    return slice(int(read[0]), int(read[-1]) + 1)


def _of_8_bits(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """The second weight of each line is rounded, the first is what it leaves of 1."""
    rounded = np.rint(256 * weights) / 256
    lines, first = np.arange(len(weights)), weights.astype(bool).argmax(axis=1)
    rounded[lines, first] += 1 - rounded.sum(axis=1)
    return _float(rounded)


def _float(array: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, np.float32)
