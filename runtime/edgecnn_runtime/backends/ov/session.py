"""A compiled model on one ONNX file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.backends.ov.loading import load, reason
from edgecnn_runtime.errors import BackendError, BundleError


class OvBackend:
    """Compiled models of one graph: uint8 NHWC in, probabilities or pictures out, any batch.

    One is for single frames, which it runs up to a quarter faster than one that takes any number;
    that one is compiled when several come at once. Calls from several threads take turns.

    Args:
        compiled: gives OpenVINO's `CompiledModel` for one frame, or with None for any number.
        describe: what the graph says of itself.
    """

    name = "openvino"

    def __init__(
        self, compiled: Callable[[int | None], Any], describe: Callable[[], dict[str, str]]
    ) -> None:
        self._compiled, self._describe = compiled, describe
        single = compiled(1)
        kind, sides = single.inputs[0].element_type.get_type_name(), _sides(single)
        if len(single.inputs) != 1 or len(sides) != 4 or kind != "u8" or sides[3] is None:
            raise BundleError(
                f"the graph's input is {kind} {single.inputs[0].partial_shape}; expected one tensor"
                " of uint8 (N, H, W, C): export the model with 'edgecnn export'"
            )
        self.input_shape: tuple[int | None, int | None, int] = (sides[1], sides[2], sides[3])
        self.outputs = tuple(out.any_name for out in single.outputs)
        self._single: Any = single.create_infer_request()
        self._any: Any = None
        self._one_by_one = False  # somebody else's graph, with a batch that is fixed
        self._tensor = load().Tensor
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
        with self._lock:
            request = self._single if len(frames) == 1 else self._for_any()
            if not self._one_by_one or len(frames) == 1:
                return self._at_once(request, count, frames)
            each = [self._at_once(request, count, frame[None]) for frame in frames]
        return [np.concatenate(rows) for rows in zip(*each, strict=True)]

    def _for_any(self) -> Any:
        if self._any is None:
            compiled = self._compiled(None)
            self._one_by_one = _sides(compiled)[0] == 1
            self._any = compiled.create_infer_request()
        return self._any

    def _at_once(self, request: Any, count: int, frames: NDArray[np.uint8]) -> list[NDArray[Any]]:
        try:
            # OpenVINO reads where the frames lie without owning them, and writes its next answers
            # where these lie.
            rows = np.ascontiguousarray(frames)
            request.set_input_tensor(0, self._tensor(rows, shared_memory=True))
            request.infer(share_outputs=True)
            return [request.get_output_tensor(i).data.copy() for i in range(count)]
        except RuntimeError as error:
            raise BackendError(f"{self.name} failed: {reason(error)}") from error

    def close(self) -> None:
        self._single = self._any = None


def _sides(compiled: Any) -> list[int | None]:
    shape = compiled.inputs[0].partial_shape
    return [int(side.get_length()) if side.is_static else None for side in shape]
