"""OpenVINO itself, and its words without the places in its source."""

from __future__ import annotations

from functools import cache
from typing import Any

from edgecnn_runtime.errors import BackendError, one_line

# What stands around the reason: where in OpenVINO's own source it was found, and a heading.
_PLACES = ("Exception from ", "Check '", "FrontEnd API failed", "Summary:", "Model wasn't fully")


@cache
def load() -> Any:
    """The module `openvino`.

    Raises:
        BackendError: it is not installed, or does not load.
    """
    try:
        import openvino
        import openvino.frontend
    except ModuleNotFoundError as error:
        if error.name != "openvino":
            raise BackendError(f"OpenVINO does not load: {one_line(error)}") from error
        raise BackendError(
            "backend 'openvino' needs OpenVINO, which is not installed:"
            " pip install 'edgecnn[openvino]'"
        ) from error
    except (ImportError, OSError) as error:
        raise BackendError(
            f"OpenVINO is installed and does not load: {one_line(error)}; pip install"
            " --force-reinstall 'edgecnn[openvino]'"
        ) from error
    return openvino


@cache
def core() -> Any:
    """OpenVINO's core, which stays until the process ends.

    Its CPU plugin gives the thread that made it a stack for signals and frees that with itself, in
    whichever thread that is: the next signal would then end the process.

    Raises:
        BackendError: as `load`.
    """
    return load().Core()


def version() -> str:
    """OpenVINO's, as 2026.4.1."""
    return str(load().__version__).partition("-")[0]


def reason(error: Exception) -> str:
    """What OpenVINO says, without the lines that tell where in its source it says it."""
    lines = [line.strip().removeprefix("-- ") for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith(_PLACES)]
    return said[0] if said else one_line(error)
