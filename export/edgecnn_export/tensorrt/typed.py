"""What a typed graph will be computed in, read from what goes into the compiler.

It is read through TensorRT's own parser, since a device that compiles has no `onnx`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorrt as trt

    from edgecnn_export.tensorrt.api import Api

# TensorRT's name of a type -> (ours, bytes that it moves): more bytes are a higher precision.
TYPES = {
    "FLOAT": ("fp32", 4),
    "HALF": ("fp16", 2),
    "BF16": ("bf16", 2),
    "FP8": ("fp8", 1),
    "INT8": ("int8", 1),
    "INT4": ("int4", 0.5),
    "FP4": ("fp4", 0.5),
}
BYTES = dict(TYPES.values())
# They move values and do not compute: what is quantised before them is so behind them.
PASSED_THROUGH = ("SHUFFLE", "SLICE", "CONCATENATION", "GATHER", "SQUEEZE", "UNSQUEEZE", "IDENTITY")


@dataclass(frozen=True)
class Product:
    """A convolution or matrix product of the graph.

    Attributes:
        layer: the node of the ONNX graph.
        kind: `convolution` or `matrix product`.
        precision: the highest among what it multiplies; `int8` where all of it is quantised.
        fp32_tensors: its tensors are FP32, quantised or not.
    """

    layer: str
    kind: str
    precision: str
    fp32_tensors: bool


@dataclass(frozen=True)
class Higher:
    """A product in a higher precision than was asked for.

    Attributes:
        kept: the manifest says so: it was left there when the bundle was exported.
    """

    layer: str
    kind: str
    precision: str
    kept: bool


@dataclass(frozen=True)
class Typed:
    """What a graph multiplies, and how large its weights are in their own types."""

    products: tuple[Product, ...]
    weight_bytes: int

    def higher(self, asked: str, kept: Collection[str]) -> tuple[Higher, ...]:
        """The products in a higher precision than was asked for.

        Args:
            asked: `fp32`, `fp16`, `bf16` or `int8`.
            kept: nodes that the manifest explains.
        """
        return tuple(
            Higher(p.layer, p.kind, p.precision, p.layer in kept)
            for p in self.products
            if BYTES[p.precision] > BYTES.get(asked, BYTES["fp32"])
        )


def read_typed(api: Api, network: trt.INetworkDefinition) -> Typed:
    """Read a parsed network, which must be strongly typed."""
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    made_by = {layer.get_output(i).name: layer for layer in layers for i in _outputs(layer)}
    products = tuple(_products(api, layers, made_by))
    return Typed(products, sum(_weight_bytes(api, layer) for layer in layers))


def _outputs(layer: trt.ILayer) -> list[int]:
    return [i for i in range(layer.num_outputs) if layer.get_output(i) is not None]


def _products(
    api: Api, layers: list[trt.ILayer], made_by: dict[str, trt.ILayer]
) -> Iterator[Product]:
    kinds = {
        api.LayerType.CONVOLUTION: "convolution",
        api.LayerType.DECONVOLUTION: "convolution",
        api.LayerType.MATRIX_MULTIPLY: "matrix product",
        api.LayerType.EINSUM: "matrix product",
    }
    for layer in layers:
        if layer.type not in kinds:
            continue
        operands = [t for i in range(layer.num_inputs) if (t := layer.get_input(i)) is not None]
        found = [_precision(t, made_by) for t in operands]
        if len(operands) == 1:  # its weights lie inside, in the type of its input
            found.append(_type(operands[0]))
        precisions = [p for p in found if p in BYTES]
        if precisions:
            highest = max(precisions, key=BYTES.__getitem__)
            fp32 = any(_type(t) == "fp32" for t in operands)
            yield Product(node_name(layer), kinds[layer.type], highest, fp32)


def _precision(tensor: trt.ITensor, made_by: dict[str, trt.ILayer]) -> str:
    """The type of a tensor; of one that was just made from quantised values, theirs."""
    layer = made_by.get(tensor.name)
    while layer is not None and layer.type.name in PASSED_THROUGH:
        layer = made_by.get(layer.get_input(0).name)
    if layer is not None and layer.type.name == "DEQUANTIZE":
        return _type(layer.get_input(0))
    return _type(tensor)


def _type(tensor: trt.ITensor) -> str:
    """`fp32` and the like; TensorRT's own name for what is no number to multiply."""
    name = str(tensor.dtype.name)
    return TYPES[name][0] if name in TYPES else name


def shape_of(tensor: trt.ITensor) -> tuple[int, ...]:
    """Its dimensions; -1 for one that is left open."""
    dims = tensor.shape
    return tuple(int(dims[i]) for i in range(len(dims)))


def node_name(layer: trt.ILayer) -> str:
    """The node of the ONNX graph that a layer was made for: of several, each has its name."""
    found = re.search(r"\[ONNX Layer: (.*?)\]", layer.metadata or "")
    return found[1] if found else str(layer.name)


def _weight_bytes(api: Api, layer: trt.ILayer) -> int:
    """Bytes of the weights inside a layer, in the type that they have in the graph."""
    if layer.type == api.LayerType.CONSTANT:
        tensor = layer.get_output(0)
        return math.ceil(math.prod(shape_of(tensor)) * _item_bytes(tensor))
    if layer.type == api.LayerType.CONVOLUTION:
        return _inside(layer, api.IConvolutionLayer, "kernel", "bias")
    if layer.type == api.LayerType.DECONVOLUTION:
        return _inside(layer, api.IDeconvolutionLayer, "kernel", "bias")
    if layer.type == api.LayerType.SCALE:
        return _inside(layer, api.IScaleLayer, "scale", "shift", "power")
    return 0


def _item_bytes(tensor: trt.ITensor) -> float:
    name = str(tensor.dtype.name)
    return TYPES[name][1] if name in TYPES else int(tensor.dtype.itemsize)


def _inside(layer: Any, kind: type, *names: str) -> int:
    """Bytes of what only the layer's own class shows, which the binding gives out as its base."""
    base, layer.__class__ = layer.__class__, kind
    try:
        found = [getattr(layer, name) for name in names]
        return sum(int(weights.nbytes) for weights in found if weights is not None)
    finally:
        layer.__class__ = base
