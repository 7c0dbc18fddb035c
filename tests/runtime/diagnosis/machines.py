"""Other machines for the doctor: file trees, a driver and packages put in its way."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from edgecnn_runtime.commands.doctor import show
from edgecnn_runtime.diagnosis import Diagnosis, diagnose
from edgecnn_runtime.machine.access import Machine

CLOCK_KHZ, MULTIPROCESSORS, INTEGRATED, MEMORY_KHZ, BUS, MAJOR, MINOR = 13, 16, 18, 36, 37, 75, 76
RTX = {
    **{MAJOR: 8, MINOR: 9, MULTIPROCESSORS: 46, CLOCK_KHZ: 2475000, MEMORY_KHZ: 10501000},
    **{BUS: 192, INTEGRATED: 0},
}
ORIN = {MAJOR: 8, MINOR: 7, MULTIPROCESSORS: 8, CLOCK_KHZ: 1020000, MEMORY_KHZ: 0, INTEGRATED: 1}
ABSENT = {
    name: f"ModuleNotFoundError: No module named '{name}'"
    for name in ("openvino", "tensorrt", "tensorrt_rtx", "cuda", "pycuda")
}


def put(reference: Any, value: Any) -> int:
    """Write as the driver does, through what `ctypes.byref` made."""
    reference._obj.value = value
    return 0


class FakeDriver:
    """NVIDIA's library with one GPU, or with an error when it starts."""

    def __init__(
        self, name: str, attributes: Mapping[int, int], cuda: int = 13000, status: int = 0
    ) -> None:
        self.name, self.attributes, self.cuda, self.status = name, attributes, cuda, status

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        return put(version, self.cuda)

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.status

    def cuGetErrorString(self, status: int, text: Any) -> int:  # noqa: N802
        return put(text, b"system has unsupported display driver / cuda driver combination")

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        return put(count, 1)

    def cuDeviceGet(self, handle: Any, index: int) -> int:  # noqa: N802
        return put(handle, index)

    def cuDeviceGetName(self, text: Any, length: int, handle: Any) -> int:  # noqa: N802
        text.value = self.name.encode()
        return 0

    def cuDeviceTotalMem_v2(self, memory: Any, handle: Any) -> int:  # noqa: N802
        return put(memory, 12 << 30)

    def cuDeviceGetAttribute(self, value: Any, number: int, handle: Any) -> int:  # noqa: N802
        return put(value, self.attributes.get(number, 0))


class FakeNvml:
    def nvmlInit_v2(self) -> int:  # noqa: N802
        return 0

    def nvmlSystemGetDriverVersion(self, text: Any, length: int) -> int:  # noqa: N802
        text.value = b"581.42"
        return 0

    def nvmlShutdown(self) -> int:  # noqa: N802
        return 0


def libraries(**found: object) -> Callable[[str], object]:
    """A loader that has some libraries, by the first part of their names."""

    def load(name: str) -> object:
        key = name.partition(".")[0].replace("-", "_")
        if key not in found:
            raise OSError(f"{name}: cannot open shared object file")
        return found[key]

    return load


def write(root: Path, files: Mapping[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def module(version: str, system: str = "UNIX x86_64 Kernel Module ") -> dict[str, str]:
    line = f"NVRM version: NVIDIA {system} {version}  Tue Sep 23 10:11:16 UTC 2025\n"
    return {"proc/driver/nvidia/version": line}


def examine(
    machine: Machine,
    packages: Mapping[str, str],
    loads: Mapping[str, str],
    broken: Mapping[str, str] | None = None,
) -> Diagnosis:
    """Let the doctor see a machine on which these packages are installed, load or do not."""
    failures = {**ABSENT, **(broken or {})}

    def imports(probes: Mapping[str, str]) -> dict[str, tuple[str | None, str]]:
        return {
            name: (loads[name], "") if name in loads else (None, failures[name]) for name in probes
        }

    return diagnose(machine, versions=dict(packages).get, imports=imports)


def remedy(found: Diagnosis, part: str) -> str:
    """What to do about the one problem whose text holds `part`."""
    (problem,) = [p for p in found.problems if part in p.what]
    return problem.do


def printed(found: Diagnosis) -> str:
    out = io.StringIO()
    show(found, Console(file=out, width=200, soft_wrap=True))
    return out.getvalue()
