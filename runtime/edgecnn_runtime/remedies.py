"""What to do about what the doctor found: for each thing that is missing, the package or command.

A rule takes a diagnosis and looks at nothing else. Commands are written for a POSIX shell and
rewritten for Windows at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from edgecnn_runtime.diagnosis import NEEDED, Diagnosis, Problem
from edgecnn_runtime.installed import conflicts

# CUDA's major -> the first driver that runs it; NVIDIA, CUDA Compatibility, minor version table
DRIVERS = {11: 450, 12: 525, 13: 580}

# package -> the major of CUDA that it needs, None where its own version begins with it
CUDA_OF = {
    "nvidia-cuda-runtime-cu12": 12,
    "nvidia-cuda-runtime": None,
    "cuda-bindings": None,
    "tensorrt-cu12-libs": 12,
    "tensorrt-cu13-libs": 13,
    "tensorrt-rtx-cu12-libs": 12,
    "tensorrt-rtx-cu13-libs": 13,
}
VENV = "python3 -m venv --system-site-packages .venv, and install edgecnn[jetson] into that"
JETSON_TARGETS = ("sm72", "sm87", "sm110")  # which TensorRT-RTX has no kernels for

Rule = Callable[[Diagnosis], Iterator[Problem]]


def remedies(found: Diagnosis, versions: Callable[[str], str | None]) -> list[Problem]:
    """What is wrong or missing, the serious first, with commands for this machine's shell."""
    problems = [
        *(Problem(said.what, said.do, "problem") for said in conflicts(versions).values()),
        *(problem for rule in RULES for problem in rule(found)),
        *_old_driver(found, versions),
    ]
    order = ("problem", "missing", "advice")
    problems.sort(key=lambda problem: order.index(problem.kind))
    return [replace(p, do=_for_shell(p.do, found.system)) for p in problems]


def _for_shell(command: str, system: str) -> str:
    """cmd.exe and PowerShell quote with double quotes; && is unknown to Windows' own PowerShell."""
    if system != "win32":
        return command
    return command.replace("'", '"').replace(" && ", "; ").replace("$USER", "%USERNAME%")


def _does_not_load(found: Diagnosis) -> Iterator[Problem]:
    """What the runtime cannot do without."""
    for name in NEEDED:
        if name in found.broken:
            why = found.broken[name]
            yield Problem(f"{name} does not load: {why}", _mend(found, name, why), "problem")


def _mend(found: Diagnosis, name: str, why: str) -> str:
    if name == "cv2" and "libGL" in why:
        return "pip uninstall -y opencv-python && pip install opencv-python-headless"
    if name == "cv2" and re.search(r"_ARRAY_API|multiarray", why):
        return "pip install 'numpy<2'   (this OpenCV was built against NumPy 1)"
    if _is_hidden(found, name):
        return VENV
    if found.jetson:
        brought = name == "cv2"
        return (
            "sudo apt-get install libopencv-python" if brought else "pip install 'edgecnn[jetson]'"
        )
    with_gpu = "   (with an NVIDIA GPU: 'edgecnn[gpu]')" if name == "onnxruntime" else ""
    return f"pip install 'edgecnn[cpu]'{with_gpu}"


def _is_hidden(found: Diagnosis, name: str) -> bool:
    """Whether JetPack brought a package that this virtual environment does not see."""
    return bool(found.jetson and name in found.jetson.packages and found.environment == "venv")


def _driver(found: Diagnosis) -> Iterator[Problem]:
    driver = found.driver
    if driver.gpus or found.system == "darwin":
        return
    if found.jetson:
        todo = "sudo apt-get install nvidia-l4t-cuda nvidia-l4t-core, then restart"
        yield Problem(f"the Jetson's GPU cannot be used: {driver.why}", todo, "missing")
    elif driver.cuda is None and driver.version:
        yield Problem(
            f"the driver {driver.version} is loaded, but its library is not here",
            f"sudo apt-get install libnvidia-compute-{driver.version.split('.')[0]}"
            "   (in a container: start it with --gpus all)",
            "missing",
        )
    elif found.cards and driver.version is None:
        yield Problem(
            f"an NVIDIA card is at PCI {found.cards[0]}, and no driver for it is here",
            _install_driver(found, max(DRIVERS)),
            "missing",
        )
    elif driver.cuda is not None and found.cards:
        yield Problem(driver.why, "restart the machine, then: sudo dmesg | grep NVRM", "missing")


def _install_driver(found: Diagnosis, cuda: int) -> str:
    branch = DRIVERS[cuda]
    if found.system == "win32":
        return f"install NVIDIA's driver {branch} or later, from nvidia.com/drivers"
    return (
        f"sudo apt-get install nvidia-driver-{branch}, then restart"
        f"   (Ubuntu; elsewhere {branch} or later from nvidia.com/drivers)"
    )


def _old_driver(found: Diagnosis, versions: Callable[[str], str | None]) -> Iterator[Problem]:
    """Packages built for a CUDA that the driver does not run; the most demanding one is named."""
    if found.driver.cuda is None:
        return
    here, needs = int(found.driver.cuda.split(".")[0]), []
    for package, fixed in CUDA_OF.items():
        release = versions(package)
        if release:
            needs.append((fixed or int(release.split(".")[0]), f"{package} {release}"))
    major, who = max(needs, default=(0, ""))
    if major <= here:
        return
    called = f"driver {found.driver.version}" if found.driver.version else "the driver"
    if found.jetson:
        todo = f"pip uninstall -y {who.split()[0]}   (JetPack's CUDA cannot be replaced)"
        if who.startswith("cuda-bindings"):
            todo = f"pip install 'cuda-bindings<{here + 1}'"
    else:
        todo = _install_driver(found, min(major, max(DRIVERS)))
    yield Problem(
        f"{called} runs CUDA up to {found.driver.cuda}, and {who} needs CUDA {major}",
        todo,
        "missing",
    )


def _tensorrt_does_not_load(found: Diagnosis) -> Iterator[Problem]:
    """PyPI's tensorrt is a front that fetches its libraries from NVIDIA, and may stand alone."""
    why = found.broken.get("tensorrt")
    if why is None:
        return
    what = f"tensorrt {found.packages['tensorrt'] or ''}".strip() + f" does not load: {why}"
    if found.jetson:
        hides = found.packages["tensorrt"] and "tensorrt" in found.jetson.packages
        todo = (
            "pip uninstall -y tensorrt   (it hides JetPack's)"
            if hides
            else "sudo apt-get install python3-libnvinfer tensorrt-libs"
        )
    else:
        todo = "pip uninstall -y tensorrt && pip install 'edgecnn[tensorrt-rtx]'"
    yield Problem(what, todo, "missing")


def _others_do_not_load(found: Diagnosis) -> Iterator[Problem]:
    reinstall = {
        "tensorrt_rtx": "pip install --force-reinstall 'edgecnn[tensorrt-rtx]'",
        "cuda": "pip install --force-reinstall cuda-bindings",
        "pycuda": "pip uninstall -y pycuda && pip install cuda-bindings",
        "openvino": "pip install --force-reinstall 'edgecnn[openvino]'",
    }
    for name, todo in reinstall.items():
        if name in found.broken:
            yield Problem(f"{name} does not load: {found.broken[name]}", todo, "missing")


def _no_compiler(found: Diagnosis) -> Iterator[Problem]:
    loaded = [name for name in ("tensorrt", "tensorrt_rtx") if found.loads.get(name)]
    if found.system == "darwin" or "tensorrt" in found.broken:
        return
    if found.jetson:
        if "tensorrt" in loaded:
            return
        rtx = ", and TensorRT-RTX has no kernels for a Jetson" if loaded else ""
        todo = (
            VENV if _is_hidden(found, "tensorrt") else ("sudo apt-get install python3-libnvinfer")
        )
        yield Problem(f"JetPack's TensorRT cannot be imported{rtx}", todo, "missing")
    elif not loaded and "tensorrt_rtx" not in found.broken:
        yield Problem(
            "no TensorRT: 'edgecnn compile' has no compiler",
            "pip install 'edgecnn[tensorrt-rtx]'",
            "missing",
        )


def _no_binding(found: Diagnosis) -> Iterator[Problem]:
    """Without one engines compile, and do not run here."""
    if not found.driver.gpus or found.driver.cuda is None:
        return
    if found.loads.get("cuda") or found.loads.get("pycuda") or "cuda" in found.broken:
        return
    major = int(found.driver.cuda.split(".")[0])
    yield Problem(
        "no CUDA binding: engines cannot run in this process",
        f"pip install 'cuda-bindings>={major},<{major + 1}'",
        "missing",
    )


def _no_cuda_provider(found: Diagnosis) -> Iterator[Problem]:
    gpus = [gpu for gpu in found.driver.gpus if gpu.target not in JETSON_TARGETS]
    if not gpus or found.jetson or not found.loads.get("onnxruntime"):
        return
    if "CUDAExecutionProvider" in found.providers:
        return
    if found.architecture in ("x86_64", "AMD64"):
        todo = "pip uninstall -y onnxruntime && pip install 'edgecnn[gpu]'"
    else:
        todo = "compile engines: onnxruntime-gpu has no package for this processor"
    yield Problem("there is a GPU, but ONNX Runtime has no CUDA provider", todo, "missing")


def _hidden_opencv(found: Diagnosis) -> Iterator[Problem]:
    """A Jetson's camera connector is read through GStreamer, which OpenCV from PyPI lacks."""
    said = found.loads.get("cv2") or ""
    if not found.jetson or "without GStreamer" not in said:
        return
    ours = [p for p in ("opencv-python", "opencv-python-headless") if found.packages[p]]
    if ours and "cv2" in found.jetson.packages:
        todo = VENV if found.environment == "venv" else f"pip uninstall -y {' '.join(ours)}"
        what = f"{ours[0]} hides JetPack's OpenCV: csi:// needs python3-gi and a process more"
    else:
        what = "OpenCV has no GStreamer: csi:// needs python3-gi and a process more"
        todo = "sudo apt-get install libopencv-python"
    yield Problem(what, todo, "missing")


def _old_jetpack(found: Diagnosis) -> Iterator[Problem]:
    if found.jetson and found.jetson.jetpack and int(found.jetson.jetpack.split(".")[0]) < 6:
        yield Problem(
            f"JetPack {found.jetson.jetpack} has TensorRT 8; edgecnn needs 10.3 or later",
            "flash JetPack 6.1 or later",
            "missing",
        )


def _no_torch(found: Diagnosis) -> Iterator[Problem]:
    if not found.packages["torch"] and not found.jetson:
        yield Problem(
            "no PyTorch: train, export and evaluate run elsewhere; a device needs none of them",
            "pip install 'edgecnn[train,export,cpu]'",
            "missing",
        )


def _power(found: Diagnosis) -> Iterator[Problem]:
    jetson = found.jetson
    if jetson and jetson.power_mode and jetson.fastest not in (None, jetson.power_mode):
        assert jetson.fastest is not None
        yield Problem(
            f"the power mode is {jetson.power_mode.name}, which caps the clocks;"
            f" {jetson.fastest.name} does not",
            f"sudo nvpmodel -m {jetson.fastest.number}",
            "advice",
        )
    loose = [clock.name for clock in found.clocks if not clock.is_locked]
    if jetson and loose:
        yield Problem(
            "the clocks follow the load: the first frames after a pause are slow",
            "sudo jetson_clocks   (until the next start; docs/jetson.md makes it stay)",
            "advice",
        )


def _governor(found: Diagnosis) -> Iterator[Problem]:
    slow = sorted({c.governor for c in found.clocks if c.driver and c.governor != "performance"})
    if slow and not found.jetson:
        yield Problem(
            f"the processor's governor is {', '.join(slow)}: frames after a pause are slower",
            "sudo cpupower frequency-set -g performance   (until the next start)",
            "advice",
        )


def _heat(found: Diagnosis) -> Iterator[Problem]:
    for said in found.throttling:
        yield Problem(said, "cool it better, or take a lower power mode", "advice")


def _cameras(found: Diagnosis) -> Iterator[Problem]:
    for camera in found.cameras:
        if camera.problem is not None:
            yield Problem(camera.problem, camera.todo, "missing")


RULES: tuple[Rule, ...] = (
    _does_not_load,
    _driver,
    _tensorrt_does_not_load,
    _others_do_not_load,
    _no_compiler,
    _no_binding,
    _no_cuda_provider,
    _hidden_opencv,
    _old_jetpack,
    _no_torch,
    _power,
    _governor,
    _heat,
    _cameras,
)
