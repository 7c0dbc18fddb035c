"""A compiled model on one ONNX file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.errors import BackendError, BundleError, one_line

# What stands around the reason: where in OpenVINO's own source it was found, and a heading.
_PLACES = ("Exception from ", "Check '", "FrontEnd API failed", "Summary:", "Model wasn't fully")


class OvBackend:
    """A compiled model: uint8 NHWC in, probabilities or pictures out, any batch.

    Calls from several threads take turns.

    Args:
        compiled: OpenVINO's `CompiledModel`.
        describe: what the graph says of itself.
    """

    name = "openvino"

    def __init__(self, compiled: Any, describe: Callable[[], dict[str, str]]) -> None:
        self._describe = describe
        inputs = compiled.inputs
        sides = [int(d.get_length()) if d.is_static else None for d in inputs[0].partial_shape]
        kind = inputs[0].element_type.get_type_name()
        if len(inputs) != 1 or len(sides) != 4 or kind != "u8" or sides[3] is None:
            raise BundleError(
                f"the graph's input is {kind} {inputs[0].partial_shape}; expected one tensor of"
                " uint8 (N, H, W, C): export the model with 'edgecnn export'"
            )
        self.input_shape: tuple[int | None, int | None, int] = (sides[1], sides[2], sides[3])
        self._one_by_one = sides[0] == 1  # somebody else's graph, with a batch that is fixed
        self.outputs = tuple(out.any_name for out in compiled.outputs)
        self._request: Any = compiled.create_infer_request()
        self._lock = threading.Lock()

    @property
    def metadata(self) -> dict[str, str]:
        """What the graph says of itself."""
        return self._describe()

    def infer(self, frames: NDArray[np.uint8]) -> NDArray[Any]:
        """(N, H, W, C) uint8 -> (N, classes) float32, or (N, H', W', C') uint8 of a filter.

        Raises:
            BackendError: OpenVINO refuses the frames.
        """
        return self._run(1, frames)[0]

    def infer_all(self, frames: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Every output by its name: logits too, where the graph answers with them."""
        return dict(zip(self.outputs, self._run(len(self.outputs), frames), strict=True))

    def _run(self, count: int, frames: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """The first outputs, so many."""
        if self._one_by_one and len(frames) != 1:
            each = [self._run(count, frame[None]) for frame in frames]
            return [np.concatenate(rows) for rows in zip(*each, strict=True)]
        try:
            with self._lock:
                # Neither copied on the way in nor, by OpenVINO, on the way out: the next run
                # writes where this one has answered.
                self._request.infer({0: frames}, share_inputs=True, share_outputs=True)
                return [self._request.get_output_tensor(i).data.copy() for i in range(count)]
        except RuntimeError as error:
            raise BackendError(f"{self.name} failed: {reason(error)}") from error

    def close(self) -> None:
        self._request = None


def reason(error: Exception) -> str:
    """What OpenVINO says, without the lines that tell where in its source it says it."""
    lines = [line.strip().removeprefix("-- ") for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith(_PLACES)]
    return said[0] if said else one_line(error)
