"""Which CUDA binding is used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache

from edgecnn_runtime.backends.cuda.device import Cuda
from edgecnn_runtime.backends.cuda.driver import Driver
from edgecnn_runtime.errors import BackendError, one_line, unknown_name

BINDINGS = ("auto", "cuda-bindings", "pycuda")
INSTALL = "pip install cuda-bindings"

log = logging.getLogger("edgecnn")


def open_cuda(name: str = "auto") -> Cuda:
    """The first GPU, through a binding that is installed.

    Args:
        name: one of `BINDINGS`; `auto` is NVIDIA's cuda-bindings, which has CUDA graphs, else
            pycuda.

    Raises:
        BackendError: no such binding is installed, it does not load, or there is no GPU.
        InputError: no such binding.
    """
    if name not in BINDINGS:
        raise unknown_name("CUDA binding", name, BINDINGS)
    reasons = {}
    for binding, load in DRIVERS.items():
        if name in ("auto", binding):
            try:
                return Cuda(load())
            except ImportError as error:
                reasons[binding] = one_line(error)
    why = "; ".join(f"{binding}: {reason}" for binding, reason in reasons.items())
    raise BackendError(f"no CUDA binding loads ({why}); install one: {INSTALL}")


@cache  # the primary context is retained once, and lives as long as the process
def _nvidia() -> Driver:
    from edgecnn_runtime.backends.cuda.nvidia import NvidiaDriver

    return NvidiaDriver()


@cache
def _pycuda() -> Driver:
    from edgecnn_runtime.backends.cuda.legacy import PycudaDriver

    return PycudaDriver()


DRIVERS: Mapping[str, Callable[[], Driver]] = {"cuda-bindings": _nvidia, "pycuda": _pycuda}
