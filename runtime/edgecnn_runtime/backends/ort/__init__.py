"""ONNX Runtime: the embedded default on every device, and three ways to an NVIDIA GPU."""

from edgecnn_runtime.errors import MissingPackageError

try:
    import onnxruntime  # noqa: F401
except ImportError as error:
    raise MissingPackageError(
        f"ONNX Runtime does not load ({error}); install it: pip install 'edgecnn[cpu]'"
    ) from error

from edgecnn_runtime.backends.ort.opening import open_ort
from edgecnn_runtime.backends.ort.session import OrtBackend, settings_for

__all__ = ["OrtBackend", "open_ort", "settings_for"]
