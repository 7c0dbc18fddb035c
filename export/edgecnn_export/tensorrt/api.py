"""What is used of TensorRT's Python module. TensorRT-RTX has the same names under its own.

The types are those of TensorRT's stubs: `make check-types-tensorrt` holds the code to them, and
tests/export/tensorrt/test_names.py to the names that each version really has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import tensorrt as trt


class Api(Protocol):
    """The module: `tensorrt`, 10.3 and later, or `tensorrt_rtx`."""

    __version__: str
    Builder: type[trt.Builder]
    BuilderFlag: type[trt.BuilderFlag]
    DeviceType: type[trt.DeviceType]
    HardwareCompatibilityLevel: type[trt.HardwareCompatibilityLevel]
    IConvolutionLayer: type[trt.IConvolutionLayer]
    IDeconvolutionLayer: type[trt.IDeconvolutionLayer]
    ILogger: type[trt.ILogger]
    IProgressMonitor: type[trt.IProgressMonitor]
    IScaleLayer: type[trt.IScaleLayer]
    LayerType: type[trt.LayerType]
    MemoryPoolType: type[trt.MemoryPoolType]
    NetworkDefinitionCreationFlag: type[trt.NetworkDefinitionCreationFlag]
    OnnxParser: type[trt.OnnxParser]
    ProfilingVerbosity: type[trt.ProfilingVerbosity]
