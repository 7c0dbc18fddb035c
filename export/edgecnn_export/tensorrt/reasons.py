"""What a compiler says when it fails, in one line, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
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


SPARSITY = "(Sparsity) "  # how TensorRT begins what it says of 2:4 weights, as information


@dataclass(frozen=True)
class Said:
    """What a compiler said, since it was last cleared; nothing of it is printed.

    Attributes:
        logger: to give to it.
    """

    logger: Any
    errors: list[str]
    sparsity: list[str]

    def clear(self) -> None:
        self.errors.clear()
        self.sparsity.clear()


_listening: list[tuple[Api, Said]] = []


def listen(api: Api) -> Said:
    """What a compiler says, from now on.

    One listener for each module: TensorRT keeps to the first logger that it was given while
    anything of it lives.
    """
    said = next((said for known, said in _listening if known is api), None)
    if said is None:
        said = _listener(api)
        _listening.append((api, said))
    said.clear()
    return said


def _listener(api: Api) -> Said:
    base: Any = api.ILogger
    serious = (api.ILogger.Severity.ERROR, api.ILogger.Severity.INTERNAL_ERROR)
    errors: list[str] = []
    sparsity: list[str] = []

    class Collect(base):  # type: ignore[misc]  # its type is known only at run time
        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in serious:
                errors.append(message.strip().replace("\n", " "))
            elif message.startswith(SPARSITY):
                sparsity.append(message.removeprefix(SPARSITY).strip())

    return Said(Collect(), errors, sparsity)


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
