"""Layers of a TensorRT engine, from what its engine inspector says in JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from edgecnn_runtime.errors import BackendError
from edgecnn_runtime.latency.layers import Layer, LayerRuns

# Widths of the words that TensorRT 10 writes for a tensor's type, and those of its formats.
_BYTES = {
    **{"Float": 4, "FP32": 4, "Half": 2, "FP16": 2, "BF16": 2, "BFloat16": 2},
    **{"Int8": 1, "INT8": 1, "UInt8": 1, "UINT8": 1, "FP8": 1, "Int32": 4, "INT32": 4},
    **{"Int64": 8, "INT64": 8, "Bool": 1, "BOOL": 1},
}
# Those that a layer computes in, as the manifest has them.
_PRECISIONS = {
    **{"Float": "fp32", "FP32": "fp32", "Half": "fp16", "FP16": "fp16", "FP8": "fp8"},
    **{"BF16": "bf16", "BFloat16": "bf16", "Int8": "int8", "INT8": "int8"},
}


def layers_of(text: str, batch: int = 1) -> tuple[Layer, ...]:
    """Read `IEngineInspector.get_engine_information(LayerInformationFormat.JSON)`.

    An engine built without detailed profiling verbosity tells the names alone; nothing is then
    known of kind, MACs, bytes and precision.

    Args:
        batch: what stands for a dimension that the engine leaves open.

    Raises:
        BackendError: it is not what an inspector writes.
    """
    try:
        layers = msgspec.json.decode(text)["Layers"]
        return tuple(_layer(entry, batch) for entry in layers)
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise BackendError(
            f"the engine inspector's answer cannot be read ({error}); expected JSON with Layers"
        ) from error


def _layer(entry: Any, batch: int) -> Layer:
    if isinstance(entry, str):
        return Layer(entry, "")
    inputs, outputs = entry.get("Inputs") or [], entry.get("Outputs") or []
    weights = entry.get("Weights") or {}
    return Layer(
        name=entry["Name"],
        kind=entry.get("ParameterType") or entry.get("LayerType") or "",
        macs=_macs(entry, outputs, batch),
        bytes=_sum([*(_bytes(t, batch) for t in (*inputs, *outputs)), _weight_bytes(weights)]),
        precision=_precision(weights, (*inputs, *outputs)),
    )


def _precision(weights: Any, tensors: Sequence[Any]) -> str:
    """Of the weights; without any, of the tensors where they are all of one. Never a guess."""
    if weights.get("Count"):
        return _PRECISIONS.get(weights.get("Type", ""), "")
    found = {_PRECISIONS.get(_type(tensor), "") for tensor in tensors}
    return found.pop() if len(found) == 1 else ""


def _macs(entry: Any, outputs: Sequence[Any], batch: int) -> int | None:
    """Of a convolution: its weights are used once for each place of the output."""
    maps, count = entry.get("OutMaps"), (entry.get("Weights") or {}).get("Count")
    if entry.get("ParameterType") != "Convolution" or not maps or not count or not outputs:
        return None
    return _elements(outputs[0], batch) // int(maps) * int(count)


def _elements(tensor: Any, batch: int) -> int:
    return math.prod(batch if size < 0 else size for size in tensor["Dimensions"])


def _type(tensor: Any) -> str:
    """Its word of `_BYTES`: `Half`, or out of `Channel major FP16 format where ...`."""
    said = f"{tensor.get('Datatype', '')} {tensor.get('Format/Datatype', '')}"
    return next((word for word in said.split() if word in _BYTES), "")


def _bytes(tensor: Any, batch: int) -> int | None:
    width = _BYTES.get(_type(tensor))
    return None if width is None else width * _elements(tensor, batch)


def _weight_bytes(weights: Any) -> int | None:
    if not weights.get("Count"):
        return 0
    width = _BYTES.get(weights.get("Type", ""))
    return None if width is None else width * int(weights["Count"])


def _sum(parts: Sequence[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None


def runs_of(
    reports: Sequence[Sequence[tuple[str, float]]],
    runs_ms: Sequence[float],
    layers: Sequence[Layer],
    precision: str = "",
) -> LayerRuns:
    """Put what an IProfiler reported, (name, ms) of each layer and run, beside what is known.

    Args:
        precision: that the engine was compiled in.

    Raises:
        BackendError: the runs do not report the same layers.
    """
    names = [name for name, _ in reports[0]] if reports else []
    for report in reports:
        if [name for name, _ in report] != names:
            raise BackendError("the engine reports other layers from run to run")
    known = {layer.name: layer for layer in layers}
    return LayerRuns(
        layers=tuple(known.get(name, Layer(name, "")) for name in names),
        times_ms=[[ms for _, ms in report] for report in reports],
        runs_ms=list(runs_ms),
        precision=precision,
    )
