"""Which tests run where: `slow` ones when they are asked for, `gpu` ones where there is a GPU."""

from __future__ import annotations

import ctypes
from functools import cache

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the slow tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip with a reason, so that the summary tells what was not run and why."""
    wants_slow = config.getoption("--slow") or "slow" in config.getoption("-m")
    for item in items:
        if item.get_closest_marker("slow") and not wants_slow:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow or 'make test-slow'"))
        if item.get_closest_marker("gpu") and (why := why_no_gpu()):
            item.add_marker(pytest.mark.skip(reason=f"no NVIDIA GPU: {why}"))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A selection that is empty here, as `-m gpu` may be, is not a failure."""
    chosen_by_marker = session.config.getoption("-m")
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and chosen_by_marker:
        session.exitstatus = pytest.ExitCode.OK


@cache
def why_no_gpu() -> str:
    """Why the GPU tests cannot run, or nothing where they can. Asks the driver, not a package."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "the driver's libcuda.so.1 is not on this machine"
    if status := cuda.cuInit(0):
        return f"the driver answers cuInit with error {status}"
    count = ctypes.c_int()
    if cuda.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "the driver sees no device"
    return ""
