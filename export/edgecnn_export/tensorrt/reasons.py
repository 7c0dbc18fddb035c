"""What a compiler says when it fails, in one line, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgecnn_export.tensorrt.api import Api

ADVICE = (
    # what the message holds                             what to do
    (r"workspace", "raise --workspace, or leave it out"),
    (
        r"out ?of ?memory|bad_alloc|allocat(e|ion).*fail|fail.*allocat|MemoryError",
        "too little memory is free: end other programs, lower --batch or --workspace, or compile"
        " on a larger machine",
    ),
    (
        r"Turing.*FP32|FP32 GEMM",
        "sm75 has no FP32 matrix product here: export with --precision fp16",
    ),
    (
        r"cudaError 35|no CUDA-capable device|driver version is insufficient|cudaErrorNoDevice",
        "an NVIDIA GPU and its driver are needed for this; 'edgecnn doctor' tells what is missing",
    ),
)
# TensorRT-RTX asks for a GPU after many an error, and logs that there is none.
AFTERMATH = "catchCudaError"


_collectors: list[tuple[Api, Any, list[str]]] = []


def collector(api: Api) -> tuple[Any, list[str]]:
    """A logger that keeps errors and prints nothing, and the list that it keeps them in.

    One for each module: TensorRT keeps to the first that it was given while anything of it lives.
    """
    for known, logger, messages in _collectors:
        if known is api:
            return logger, messages
    kept: list[str] = []
    base: Any = api.ILogger
    serious = (api.ILogger.Severity.ERROR, api.ILogger.Severity.INTERNAL_ERROR)

    class Collect(base):  # type: ignore[misc]  # its type is known only at run time
        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in serious:
                kept.append(message.strip().replace("\n", " "))

    _collectors.append((api, Collect(), kept))
    return _collectors[-1][1], kept


def reason(messages: Sequence[str]) -> str:
    """The first error that is not the aftermath of another, without where in NVIDIA's sources."""
    said = [m for m in messages if AFTERMATH not in m] or list(messages)
    return _plain(said[0]) if said else "it gives no reason"


def with_advice(message: str) -> str:
    """The message, and what to do where that is known."""
    found = next((what for pattern, what in ADVICE if re.search(pattern, message, re.I)), None)
    return f"{message.rstrip('. ')}; {found}" if found else message


def _plain(message: str) -> str:
    for noise in (
        r"^(IBuilder|IBuilderConfig|INetworkDefinition)::\w+: Error Code \d+: ",
        r"\[[\w.]+\.(cpp|h):[^\]]*\] ?",  # [pass.cpp:337: check_turing_op_compatibility]
        r" ?In \w+ at \S+?:\d+\)?$",
    ):
        message = re.sub(noise, "", message)
    message = re.sub(r"^\w+ \((.*?)\)?$", r"\1", message)  # Myelin (...)
    return re.sub(r"\s+", " ", message).strip()
