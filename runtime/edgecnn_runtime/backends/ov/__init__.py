"""OpenVINO on the CPU: an option beside ONNX Runtime, on x86 and on ARM."""

from edgecnn_runtime.backends.ov.opening import open_ov
from edgecnn_runtime.backends.ov.session import OvBackend

__all__ = ["OvBackend", "open_ov"]
