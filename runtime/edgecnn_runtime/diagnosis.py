"""What this machine can do and what is missing, found without importing what may not load."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edgecnn_runtime.errors import MissingPackageError
from edgecnn_runtime.installed import conflicts, version
from edgecnn_runtime.latency.device import cores, cpu_name, gpus

PACKAGES = (
    *("numpy", "opencv-python", "opencv-python-headless", "pillow"),
    *("onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx"),
    *("cuda-python", "cuda-bindings", "pycuda", "torch", "torchvision", "onnx"),
)

# In a child process: a package that ends the process on import must not end the doctor.
_PROBES = {
    "numpy": "import numpy; print(numpy.__version__)",
    "cv2": "import cv2; print(cv2.__version__)",
    "onnxruntime": (
        "import onnxruntime as o; print(o.__version__, *o.get_available_providers(), sep=', ')"
    ),
}


@dataclass(frozen=True)
class Problem:
    """Something that does not work here.

    Attributes:
        what: in one line.
        do: the command that mends it, or what to do.
        serious: whether it keeps the runtime from running, or makes two packages collide.
    """

    what: str
    do: str
    serious: bool


@dataclass(frozen=True)
class Diagnosis:
    """The machine as the runtime finds it.

    Attributes:
        packages: version of each that could matter, None where it is not installed.
        loads: for what the runtime cannot do without: what it said of itself when it was imported
            (for ONNX Runtime its version and its providers), None where the import failed.
        window: why no window can be shown, None where one can.
    """

    edgecnn: str
    python: str
    platform: str
    cpu: str
    cores: int
    gpus: list[str]
    packages: dict[str, str | None]
    loads: dict[str, str | None]
    cameras: list[str]
    window: str | None
    problems: list[Problem]

    @property
    def is_well(self) -> bool:
        """Whether the runtime can run here, and nothing collides."""
        return not any(problem.serious for problem in self.problems)


def diagnose() -> Diagnosis:
    """Look at this machine. Nothing that is missing or broken makes it fail."""
    from edgecnn_runtime import __version__

    packages = {name: version(name) for name in PACKAGES}
    answers = {name: _import(code) for name, code in _PROBES.items()}
    found_gpus = gpus()
    providers = answers["onnxruntime"][0] or ""
    problems = [
        *(Problem(found.what, found.do, serious=True) for found in conflicts().values()),
        *_broken(answers),
        *_missing(packages, found_gpus, providers),
        *_cameras(),
    ]
    window = _window(cv2_loads=answers["cv2"][0] is not None)
    return Diagnosis(
        edgecnn=__version__,
        python=f"{platform.python_version()} at {sys.executable}",
        platform=platform.platform(),
        cpu=cpu_name(),
        cores=cores(),
        gpus=found_gpus,
        packages=packages,
        loads={name: said for name, (said, _) in answers.items()},
        cameras=_devices(),
        window=window,
        problems=problems,
    )


def _import(code: str) -> tuple[str | None, str]:
    """(what it printed, "") or (None, why the import failed)."""
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


def _broken(answers: dict[str, tuple[str | None, str]]) -> list[Problem]:
    mend = {
        "numpy": "pip install 'edgecnn[cpu]'",
        "cv2": "pip install 'edgecnn[cpu]'",
        "onnxruntime": "pip install 'edgecnn[cpu]'   (with an NVIDIA GPU: 'edgecnn[gpu]')",
    }
    problems = []
    for name, (said, why) in answers.items():
        if said is not None:
            continue
        todo = mend[name]
        if name == "cv2" and "libGL" in why:
            todo = "pip uninstall -y opencv-python && pip install opencv-python-headless"
        problems.append(Problem(f"{name} does not load: {why}", todo, serious=True))
    return problems


def _missing(packages: dict[str, str | None], found: list[str], providers: str) -> list[Problem]:
    problems = []
    if found and "CUDA" not in providers and not packages["tensorrt"]:
        problems.append(
            Problem(
                "there is a GPU, but ONNX Runtime has no CUDA provider",
                "pip uninstall -y onnxruntime && pip install 'edgecnn[gpu]'",
                serious=False,
            )
        )
    if not packages["tensorrt"] and not packages["tensorrt-rtx"] and sys.platform != "darwin":
        jetson = Path("/etc/nv_tegra_release").exists()
        todo = "sudo apt-get install tensorrt" if jetson else "pip install 'edgecnn[tensorrt-rtx]'"
        problems.append(Problem("no TensorRT: 'edgecnn compile' has no compiler", todo, False))
    if not packages["torch"]:
        problems.append(
            Problem(
                "no PyTorch: train, export and evaluate run elsewhere; a device needs none of them",
                "pip install 'edgecnn[train,export,cpu]'",
                serious=False,
            )
        )
    return problems


def _devices() -> list[str]:
    """As `camera.live.list_cameras`, which cannot be imported where OpenCV is missing."""
    found = (p for p in Path("/dev").glob("video*") if p.name[5:].isdecimal())
    return [str(p) for p in sorted(found, key=lambda p: int(p.name[5:]))]


def _cameras() -> list[Problem]:
    return [
        Problem(
            f"{device} is not permitted to this user",
            "sudo usermod -aG video $USER, then log in again",
            serious=False,
        )
        for device in _devices()
        if not os.access(device, os.R_OK | os.W_OK)
    ]


def _window(*, cv2_loads: bool) -> str | None:
    if not cv2_loads:
        return "OpenCV does not load"
    try:
        from edgecnn_runtime.stream.preview import window_problem
    except (ImportError, MissingPackageError) as error:
        return f"what draws it does not load: {error}"
    return window_problem()
