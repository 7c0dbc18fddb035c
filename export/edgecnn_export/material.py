"""Which images calibrate and which judge: the training split, and the held-out one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from numpy.typing import NDArray

from edgecnn.data import DataSet, colour_crops
from edgecnn.data.splits import some_frames
from edgecnn_export.held_out import HeldOut
from edgecnn_export.int8 import Material
from edgecnn_export.sessions import run_all
from edgecnn_runtime.manifest import Input
from edgecnn_runtime.preprocess import preprocess

Frame = NDArray[np.uint8]

JUDGED = 1000  # held-out images; a thousandth of them is a fifth of the drop that is allowed
JUDGED_CROPS = 64
CROPS = "colour crops"


def held_out(
    graph: onnx.ModelProto, spec: Input, labels: tuple[str, ...], data: DataSet | None
) -> HeldOut:
    """Images to judge graphs by, with labels where these are the model's.

    Args:
        graph: in FP32, what others are compared with.
        data: None where there are no images but the colour crops that edgecnn carries.
    """
    if data is None:
        inputs, targets = _inputs(colour_crops(JUDGED_CROPS), spec), None
    else:
        inputs = _inputs(some_frames(data.val, JUDGED), spec)
        count = len(data.val)
        chosen = np.arange(len(inputs)) * count // len(inputs)
        targets = data.val.targets[chosen] if data.labels == labels else None
    return HeldOut(inputs, targets, run_all(graph, inputs))


def material(spec: Input, data: DataSet | None, images: int, judges: HeldOut) -> Material:
    """What INT8 is made with: images of the training split, which never judge.

    Args:
        images: how many to calibrate with.
    """
    if data is None:
        return Material(_inputs(colour_crops(images, seed=1), spec), CROPS, judges)
    inputs = _inputs(some_frames(data.train, images), spec)
    return Material(inputs, f"the training images of {data.name}", judges)


def _inputs(frames: Iterable[Frame], spec: Input) -> NDArray[np.uint8]:
    return np.stack([preprocess(frame, spec) for frame in frames])
