"""What this machine can do and what is missing, found without importing what may not load."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from edgecnn_runtime import installed
from edgecnn_runtime.errors import MissingPackageError
from edgecnn_runtime.latency.device import cores, cpu_name
from edgecnn_runtime.machine.access import Machine
from edgecnn_runtime.machine.cameras import Camera, find_cameras
from edgecnn_runtime.machine.clocks import Clock, find_clocks, find_throttling
from edgecnn_runtime.machine.driver import Driver, find_cards, find_driver
from edgecnn_runtime.machine.jetson import Jetson, find_jetson

PACKAGES = (
    *("numpy", "opencv-python", "opencv-python-headless", "pillow"),
    *("onnxruntime", "onnxruntime-gpu", "onnxruntime-ep-nv-tensorrt-rtx-cu13", "openvino"),
    *("tensorrt", "tensorrt-rtx", "cuda-bindings", "pycuda", "torch", "torchvision", "onnx"),
)

# In child processes: a package that ends the process on import must not end the doctor.
PROBES = {
    "numpy": "import numpy; print(numpy.__version__)",
    "cv2": (
        "import cv2, re; print(cv2.__version__, 'with GStreamer'"
        " if re.search('GStreamer: +YES', cv2.getBuildInformation()) else 'without GStreamer')"
    ),
    "onnxruntime": (
        "import onnxruntime as o; print(o.__version__, *o.get_available_providers(), sep=', ')"
    ),
    "openvino": (
        "import openvino as o; print(o.__version__.partition('-')[0],"
        " *o.Core().available_devices, sep=', ')"
    ),
    "tensorrt": "import tensorrt; print(tensorrt.__version__)",
    "tensorrt_rtx": "import tensorrt_rtx; print(tensorrt_rtx.__version__)",
    "cuda": "import cuda.bindings.driver as d; import cuda.bindings as b; print(b.__version__)",
    "pycuda": "import pycuda.driver, pycuda; print(pycuda.VERSION_TEXT)",
}
NEEDED = ("numpy", "cv2", "onnxruntime")  # without these the runtime cannot run
_PACKAGE_OF = {"tensorrt_rtx": "tensorrt-rtx", "cuda": "cuda-bindings"}  # where the names differ

Environment = Literal["system", "venv", "venv with the system's packages"]


@dataclass(frozen=True)
class Problem:
    """Something that could be better here.

    Attributes:
        what: in one line.
        do: the command that mends it, or what to do.
        kind: `problem` keeps the runtime from running or makes two packages collide, `missing`
            keeps something else from working, `advice` makes it quicker or steadier.
    """

    what: str
    do: str
    kind: Literal["problem", "missing", "advice"]


@dataclass(frozen=True)
class Diagnosis:
    """The machine as the runtime finds it.

    Attributes:
        system: `linux`, `win32` or `darwin`.
        environment: where Python's packages come from.
        driver: NVIDIA's, with its GPUs.
        cards: PCI addresses of NVIDIA's cards, with a driver or without.
        jetson: the board and its power mode, None on other machines.
        clocks: how fast processor and GPU may run now.
        throttling: what heat slows, or has slowed.
        packages: version of each that could matter, None where it is not installed.
        loads: what each of `PROBES` said of itself when it was imported, None where it did not
            load or is absent.
        broken: why those did not load that are here, and why those that are `NEEDED` did not.
        providers: of ONNX Runtime.
        cameras: with what they can give, on Linux; elsewhere their names.
        window: why no window can be shown, None where one can.
    """

    edgecnn: str
    python: str
    environment: Environment
    platform: str
    system: str
    architecture: str
    cpu: str
    cores: int
    driver: Driver
    cards: list[str]
    jetson: Jetson | None
    clocks: tuple[Clock, ...]
    throttling: tuple[str, ...]
    packages: dict[str, str | None]
    loads: dict[str, str | None]
    broken: dict[str, str]
    providers: list[str]
    cameras: list[Camera]
    window: str | None
    problems: list[Problem] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Whether the runtime can run here, and nothing collides."""
        return not any(problem.kind == "problem" for problem in self.problems)


Imported = tuple[str | None, str]  # (what it printed, ""), or (None, why it failed)


def diagnose(
    machine: Machine | None = None,
    *,
    versions: Callable[[str], str | None] | None = None,
    imports: Callable[[Mapping[str, str]], dict[str, Imported]] | None = None,
) -> Diagnosis:
    """Look at this machine. Nothing that is missing or broken makes it fail.

    Args:
        versions: tells the version of an installed package.
        imports: runs `PROBES` and returns what each said.
    """
    from edgecnn_runtime import __version__
    from edgecnn_runtime.remedies import remedies

    machine = machine or Machine()
    versions = versions or installed.version
    answers = (imports or import_all)(PROBES)
    packages = {name: versions(name) for name in PACKAGES}
    said = {name: answer for name, (answer, _) in answers.items()}
    found = Diagnosis(
        edgecnn=__version__,
        python=f"{platform.python_version()} at {sys.executable}",
        environment=_environment(),
        platform=platform.platform(),
        system=machine.system,
        architecture=machine.architecture,
        cpu=cpu_name(machine),
        cores=cores(),
        driver=find_driver(machine),
        cards=find_cards(machine),
        jetson=find_jetson(machine),
        clocks=find_clocks(machine),
        throttling=find_throttling(machine),
        packages=packages,
        loads=said,
        broken=_broken(answers, packages),
        providers=(said["onnxruntime"] or "").split(", ")[1:],
        cameras=find_cameras(machine),
        window=_window(cv2_loads=said["cv2"] is not None),
    )
    return replace(found, problems=remedies(found, versions))


def _environment() -> Environment:
    if sys.prefix == sys.base_prefix:
        return "system"
    try:
        settings = (Path(sys.prefix) / "pyvenv.cfg").read_text()
    except OSError:
        return "venv"
    sees = re.search(r"^include-system-site-packages *= *true", settings, re.MULTILINE)
    return "venv with the system's packages" if sees else "venv"


def import_all(probes: Mapping[str, str]) -> dict[str, Imported]:
    """Run each probe in a process of its own, two at a time."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return dict(zip(probes, pool.map(_import, probes.values()), strict=True))


def _import(code: str) -> Imported:
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    if done.returncode == 0:
        return done.stdout.strip(), ""
    lines = done.stderr.strip().splitlines()
    return None, lines[-1] if lines else f"it ends the process, status {done.returncode}"


def _broken(answers: Mapping[str, Imported], packages: Mapping[str, str | None]) -> dict[str, str]:
    """A package that is absent is no failure, unless the runtime needs it."""
    broken = {}
    for name, (said, why) in answers.items():
        expected = name in NEEDED or packages.get(_PACKAGE_OF.get(name, name)) is not None
        if said is None and (expected or not _is_absent(why, name)):
            broken[name] = why
    return broken


def _is_absent(why: str, name: str) -> bool:
    return re.match(rf"ModuleNotFoundError: No module named '{name}(\.[\w.]+)?'", why) is not None


def _window(*, cv2_loads: bool) -> str | None:
    if not cv2_loads:
        return "OpenCV does not load"
    try:
        from edgecnn_runtime.stream.preview import window_problem
    except (ImportError, MissingPackageError) as error:
        return f"what draws it does not load: {error}"
    return window_problem()
