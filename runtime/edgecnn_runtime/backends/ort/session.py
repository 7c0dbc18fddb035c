"""A session on one ONNX file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.errors import BackendError, BundleError, one_line

# On an x86 CPU without VNNI, ONNX Runtime's sums of 8-bit products saturate without a word. A graph
# for TensorRT is therefore computed as it is written, each value rounded to 8 bits and the sums in
# FP32, which is also faster here than what ONNX Runtime makes of it.
_AS_WRITTEN = {"session.disable_quant_qdq": "1"}
_WITHOUT_SATURATION = {"session.x64quantprecision": "1"}


def settings_for(precision: str | None) -> dict[str, str]:
    """Session entries with which a graph of a precision gives the right numbers on every CPU.

    Args:
        precision: as the manifest has it; None for a graph of which nothing is known.
    """
    if precision == "int8-cpu":  # its weights have 7 bits: no sum can saturate
        return {}
    return _AS_WRITTEN if precision == "int8" else _WITHOUT_SATURATION


class OrtBackend:
    """A session on one ONNX file: uint8 NHWC in, probabilities or pictures out, any batch."""

    def __init__(self, session: Any, name: str) -> None:
        self._session = session
        self.name = name
        inputs, outputs = session.get_inputs(), session.get_outputs()
        shape = inputs[0].shape
        if len(inputs) != 1 or len(shape) != 4 or inputs[0].type != "tensor(uint8)":
            raise BundleError(
                f"the graph's input is {inputs[0].type} {shape}; expected one tensor of uint8"
                " (N, H, W, C): export the model with 'edgecnn export'"
            )
        # A side that the graph leaves open has a name, or nothing, where others have a number.
        height, width = (side if isinstance(side, int) else None for side in shape[1:3])
        self.input_shape: tuple[int | None, int | None, int] = (height, width, int(shape[3]))
        self._one_by_one = shape[0] == 1  # somebody else's graph, with a batch that is fixed
        self._input = inputs[0].name
        self.outputs = tuple(out.name for out in outputs)

    @property
    def metadata(self) -> dict[str, str]:
        """What the graph says of itself."""
        entries: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return entries

    def infer(self, frames: NDArray[np.uint8]) -> NDArray[Any]:
        """(N, H, W, C) uint8 -> (N, classes) float32, or (N, H', W', C') uint8 of a filter.

        Raises:
            BackendError: the GPU fails.
        """
        return self._run(self.outputs[:1], frames)[0]

    def infer_all(self, frames: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Every output by its name: logits too, where the graph answers with them."""
        return dict(zip(self.outputs, self._run(self.outputs, frames), strict=True))

    def _run(self, names: tuple[str, ...], frames: NDArray[np.uint8]) -> list[NDArray[Any]]:
        if self._one_by_one and len(frames) != 1:
            each = [self._run(names, frame[None]) for frame in frames]
            return [np.concatenate(rows) for rows in zip(*each, strict=True)]
        if self.name == "onnxruntime":
            return self._at_once(names, frames)
        try:
            return self._at_once(names, frames)
        except BackendError:
            raise
        except Exception as error:  # ONNX Runtime has one class of its own for each kind of failure
            raise BackendError(f"{self.name} failed: {first_line(error)}") from error

    def _at_once(self, names: tuple[str, ...], frames: NDArray[np.uint8]) -> list[NDArray[Any]]:
        answers: list[NDArray[Any]] = self._session.run(names, {self._input: frames})
        return answers

    def close(self) -> None:
        self._session = None


class CpuBackend(OrtBackend):
    """A session on the CPU, whose threads sleep between frames or wait awake for the next.

    Args:
        open_session: makes the session; told whether the threads wait awake.

    Attributes:
        power: one of `backends.POWERS`.
    """

    def __init__(self, open_session: Callable[[bool], Any], power: str) -> None:
        super().__init__(open_session(power == "latency"), "onnxruntime")
        self.power = power
        self._open_session = open_session

    def set_power(self, power: str) -> None:
        """Change it. ONNX Runtime can do so only by opening the file again."""
        if power != self.power:
            self._session = self._open_session(power == "latency")
            self.power = power


def first_line(error: Exception) -> str:
    """What ONNX Runtime says, without the code that it puts before it."""
    line = one_line(error)
    code = "[ONNXRuntimeError] : "
    return line.split(" : ", 3)[-1] if line.startswith(code) else line
