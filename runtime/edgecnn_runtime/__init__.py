"""Run image classifiers on a device: bundles, cameras, honest latency. Needs no PyTorch.

>>> from edgecnn_runtime import Classifier, Stream
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgecnn_runtime.errors import EdgecnnError

if TYPE_CHECKING:
    from edgecnn_runtime.classifier import Classifier, Prediction
    from edgecnn_runtime.image_filter import ImageFilter
    from edgecnn_runtime.opening import open_model
    from edgecnn_runtime.stream.loop import Result, Stream
    from edgecnn_runtime.stream.steady import Steady

# From 1.29 on ONNX Runtime tells its maker of every model, unless this is set before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = [
    "Classifier",
    "EdgecnnError",
    "ImageFilter",
    "Prediction",
    "Result",
    "Steady",
    "Stream",
    "__version__",
    "open_model",
]

# Imported on first use: OpenCV and ONNX Runtime cost 0.2 s, and `--help` needs neither.
_HOMES = {
    "Classifier": "edgecnn_runtime.classifier",
    "ImageFilter": "edgecnn_runtime.image_filter",
    "Prediction": "edgecnn_runtime.classifier",
    "Result": "edgecnn_runtime.stream.loop",
    "Steady": "edgecnn_runtime.stream.steady",
    "Stream": "edgecnn_runtime.stream.loop",
    "open_model": "edgecnn_runtime.opening",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
