"""What ONNX Runtime reaches on this machine: a large matrix product, and a pass over memory."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edgecnn_runtime.backends.ort.providers import PROVIDERS, load_libraries, require
from edgecnn_runtime.backends.ort.session import first_line
from edgecnn_runtime.errors import BackendError

SECONDS = 0.4  # of trying; the quickest run counts, so that short ones find a quiet moment
# precision -> (operator, left, right, answer): 8-bit products are summed in 32 bits
_PRODUCTS: dict[str, tuple[str, Any, Any, Any]] = {
    "fp32": ("MatMul", np.float32, np.float32, np.float32),
    "fp16": ("MatMul", np.float16, np.float16, np.float16),
    "int8": ("MatMulInteger", np.uint8, np.int8, np.int32),
}
_TYPES = {np.float32: 1, np.uint8: 2, np.int8: 3, np.int32: 6, np.float16: 10}  # TensorProto


class Peak:
    """Runs graphs of one node on a provider; what they need lies on its device before.

    Args:
        name: of a backend, `onnxruntime` or `onnxruntime-cuda`.
        side: of the matrices.

    Raises:
        BackendError: the provider does not start here.
    """

    def __init__(self, name: str = "onnxruntime", *, threads: int, side: int = 512) -> None:
        require(name)
        load_libraries(name)
        self._provider = PROVIDERS[name].ep
        self._device = "cuda" if name == "onnxruntime-cuda" else "cpu"
        # FP32 as the backend computes it, without TF32's ten bits of mantissa.
        self._settings = {"use_tf32": "0"} if self._device == "cuda" else {}
        self._threads, self._side = threads, side

    def tera(self, precision: str) -> float | None:
        """10^12 operations a second, a multiply-accumulate as two; None where it does not run."""
        operator, left, right, answer = _PRODUCTS[precision]
        side = self._side
        source = np.random.default_rng(0)
        weights = source.integers(-8, 8, (side, side)).astype(right)
        graph = one_node(operator, (left, (side, side)), (answer, (side, side)), weights)
        try:
            seconds = self._quickest(graph, source.integers(0, 8, (side, side)).astype(left))
        except BackendError:
            return None
        return 2 * side**3 / seconds / 1e12

    def gb_per_s(self, size: int = 1 << 28) -> float:
        """Reading so many bytes and writing as many.

        Raises:
            BackendError: it does not run.
        """
        shape = (size // 4,)
        graph = one_node("Relu", (np.float32, shape), (np.float32, shape))
        return 2 * size / self._quickest(graph, np.ones(shape, np.float32)) / 1e9

    def _quickest(self, graph: bytes, frames: NDArray[Any]) -> float:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = self._threads
        try:
            session = ort.InferenceSession(
                graph, options, providers=[(self._provider, self._settings)]
            )
            binding = session.io_binding()
            value = ort.OrtValue.ortvalue_from_numpy(frames, self._device, 0)
            binding.bind_ortvalue_input("x", value)
            binding.bind_output("y", self._device, 0)
            spent: list[float] = []
            began = perf_counter()
            while len(spent) < 4 or perf_counter() - began < SECONDS:
                started = perf_counter()
                session.run_with_iobinding(binding)
                binding.synchronize_outputs()
                spent.append(perf_counter() - started)
        except Exception as error:  # of several kinds, all of ONNX Runtime's
            raise BackendError(f"{self._provider} does not run it: {first_line(error)}") from error
        return min(spent[1:])


def one_node(
    operator: str,
    given: tuple[Any, tuple[int, ...]],
    answer: tuple[Any, tuple[int, ...]],
    weights: NDArray[Any] | None = None,
) -> bytes:
    """An ONNX file of one node, written by hand: a device has no onnx package.

    Args:
        given, answer: (NumPy type, shape) of `x` and `y`.
        weights: a second input, constant.
    """
    names = [_text(1, "x"), *([_text(1, "w")] if weights is not None else [])]
    node = b"".join([*names, _text(2, "y"), _text(4, operator)])
    held = b"" if weights is None else _field(5, _constant("w", weights))
    graph = b"".join(
        [
            _field(1, node),
            _text(2, operator),
            held,
            _field(11, _value("x", *given)),
            _field(12, _value("y", *answer)),
        ]
    )
    opset = _number(2, 17)
    return _number(1, 8) + _field(7, graph) + _field(8, opset)


def _value(name: str, kind: Any, shape: tuple[int, ...]) -> bytes:
    sides = b"".join(_field(1, _number(1, side)) for side in shape)
    return _text(1, name) + _field(2, _field(1, _number(1, _TYPES[kind]) + _field(2, sides)))


def _constant(name: str, array: NDArray[Any]) -> bytes:
    sides = b"".join(_number(1, side) for side in array.shape)
    kind = _number(2, _TYPES[array.dtype.type])
    return sides + kind + _text(8, name) + _field(9, array.tobytes())


# Protocol Buffers: a key of field and wire type, then a number (0) or bytes with their length (2).
def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _field(field, text.encode())
