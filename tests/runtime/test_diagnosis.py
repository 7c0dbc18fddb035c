"""The doctor on other machines: file trees, a driver and packages that are put in its way."""

from __future__ import annotations

import ctypes
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from edgecnn_runtime import diagnosis as doctor
from edgecnn_runtime.commands.doctor import show
from edgecnn_runtime.diagnosis import Diagnosis, diagnose
from edgecnn_runtime.latency.device import gpu_name
from edgecnn_runtime.machine.access import Machine

CLOCK_KHZ, MULTIPROCESSORS, INTEGRATED, MEMORY_KHZ, BUS, MAJOR, MINOR = 13, 16, 18, 36, 37, 75, 76
RTX = {
    **{MAJOR: 8, MINOR: 9, MULTIPROCESSORS: 46, CLOCK_KHZ: 2475000, MEMORY_KHZ: 10501000},
    **{BUS: 192, INTEGRATED: 0},
}
ORIN = {MAJOR: 8, MINOR: 7, MULTIPROCESSORS: 8, CLOCK_KHZ: 1020000, MEMORY_KHZ: 0, INTEGRATED: 1}


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


CARD = {
    "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
    "sys/bus/pci/devices/0000:01:00.0/class": "0x030000\n",
    "sys/bus/pci/devices/0000:01:00.1/vendor": "0x10de\n",  # its sound
    "sys/bus/pci/devices/0000:01:00.1/class": "0x040300\n",
}
LAPTOP_CLOCKS = {
    f"sys/devices/system/cpu/cpufreq/policy{core}/{name}": value
    for core in range(4)
    for name, value in {
        "affected_cpus": str(core),
        "scaling_cur_freq": str(800000 + 1000 * core),
        "scaling_min_freq": "400000",
        "scaling_max_freq": "4700000",
        "cpuinfo_max_freq": "4700000",
        "scaling_governor": "powersave",
        "scaling_driver": "intel_pstate",
    }.items()
}
RUNTIME = {
    "numpy": "2.4.6",
    "cv2": "5.0.0 without GStreamer",
    "onnxruntime": "1.32.0, CPUExecutionProvider",
}
ON_PYPI = {"numpy": "2.4.6", "opencv-python-headless": "5.0.0.93", "onnxruntime": "1.32.0"}
ABSENT = {
    name: f"ModuleNotFoundError: No module named '{name}'"
    for name in ("openvino", "tensorrt", "tensorrt_rtx", "cuda", "pycuda")
}


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


@pytest.fixture
def rtx(tmp_path: Path) -> Machine:
    """A workstation with an RTX card and a driver for CUDA 13."""
    root = write(tmp_path, {**CARD, **LAPTOP_CLOCKS, **module("580.95.05")})
    driver = FakeDriver("NVIDIA GeForce RTX 4070 SUPER", RTX)
    return Machine(root, "linux", "x86_64", lambda *_: "", libraries(libcuda=driver))


def test_an_rtx_card_is_named_with_its_driver_and_what_it_still_needs(rtx: Machine) -> None:
    found = examine(rtx, ON_PYPI, RUNTIME)
    assert found.is_well
    assert (found.driver.version, found.driver.cuda) == ("580.95.05", "13.0")
    (gpu,) = found.driver.gpus
    assert (gpu.name, gpu.target, gpu.memory_mb) == ("NVIDIA GeForce RTX 4070 SUPER", "sm89", 12288)
    assert (gpu.multiprocessors, gpu.clock_mhz, gpu.memory_clock_mhz) == (46, 2475, 10501)
    assert found.cards == ["0000:01:00.0"], "the card's sound device is no card"
    assert remedy(found, "no CUDA provider") == (
        "pip uninstall -y onnxruntime && pip install 'edgecnn[gpu]'"
    )
    assert remedy(found, "no compiler") == "pip install 'edgecnn[tensorrt-rtx]'"
    assert remedy(found, "no CUDA binding") == "pip install 'cuda-bindings>=13,<14'"
    assert "NVIDIA GeForce RTX 4070 SUPER, sm89, 12.0 GiB" in printed(found)


def test_a_card_with_everything_installed_wants_nothing(rtx: Machine) -> None:
    packages = {
        **{"numpy": "2.4.6", "opencv-python-headless": "5.0.0.93", "torch": "2.15.0"},
        **{"onnxruntime-gpu": "1.31.1", "nvidia-cuda-runtime": "13.2.86"},
        **{"cuda-bindings": "13.5.0", "tensorrt-rtx": "1.7.1", "tensorrt-rtx-cu13-libs": "1.7.1"},
    }
    loads = {
        **{**RUNTIME, "cuda": "13.5.0", "tensorrt_rtx": "1.7.1"},
        "onnxruntime": "1.31.1, TensorrtExecutionProvider, CUDAExecutionProvider, CPUExecution",
    }
    found = examine(rtx, packages, loads)
    assert [p.what for p in found.problems if p.kind != "advice"] == []
    assert found.providers[:2] == ["TensorrtExecutionProvider", "CUDAExecutionProvider"]


def test_the_governor_is_advice_and_alike_cores_are_one_line(rtx: Machine) -> None:
    found = examine(rtx, ON_PYPI, RUNTIME)
    (clock,) = found.clocks
    assert (clock.name, clock.now_mhz, clock.most_mhz) == ("CPU, 4 cores", 803, 4700)
    assert not clock.is_locked
    assert "cpupower frequency-set -g performance" in remedy(found, "governor is powersave")
    assert "CPU, 4 cores: 803 of 400 to 4700 MHz, powersave" in printed(found)


def test_heat_that_slowed_the_processor_is_told(rtx: Machine) -> None:
    write(
        rtx.root,
        {
            "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": "12\n",
            "sys/class/thermal/cooling_device0/type": "Processor\n",
            "sys/class/thermal/cooling_device0/cur_state": "3\n",
            "sys/class/thermal/cooling_device1/type": "pwm-fan\n",
            "sys/class/thermal/cooling_device1/cur_state": "2\n",
        },
    )
    assert examine(rtx, ON_PYPI, RUNTIME).throttling == (
        "Processor is throttled now, step 3",
        "the processor was throttled 12 times since the start",
    )


def test_without_a_gpu_nothing_of_nvidia_is_asked_for_but_the_compiler(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "linux", "x86_64", lambda *_: "", libraries())
    found = examine(machine, {**ON_PYPI, "torch": "2.15.0"}, RUNTIME)
    assert found.is_well
    assert found.driver.why == "the driver's library libcuda.so.1 is not on this machine"
    assert [p.what for p in found.problems] == ["no TensorRT: 'edgecnn compile' has no compiler"]
    assert "none of NVIDIA's" in printed(found)


def test_a_card_without_a_driver_says_which_package_brings_one(tmp_path: Path) -> None:
    machine = Machine(write(tmp_path, CARD), "linux", "x86_64", lambda *_: "", libraries())
    found = examine(machine, ON_PYPI, RUNTIME)
    assert "sudo apt-get install nvidia-driver-580" in remedy(found, "PCI 0000:01:00.0")


def test_a_container_without_the_drivers_library_says_how_to_start_it(tmp_path: Path) -> None:
    root = write(tmp_path, {**CARD, **module("580.95.05")})
    machine = Machine(root, "linux", "x86_64", lambda *_: "", libraries())
    assert "--gpus all" in remedy(examine(machine, ON_PYPI, RUNTIME), "its library is not here")


def test_a_driver_that_does_not_start_says_why(tmp_path: Path) -> None:
    root = write(tmp_path, {**CARD, **module("580.95.05")})
    broken = FakeDriver("", {}, status=803)
    machine = Machine(root, "linux", "x86_64", lambda *_: "", libraries(libcuda=broken))
    found = examine(machine, ON_PYPI, RUNTIME)
    assert "error 803, system has unsupported display driver" in found.driver.why
    assert "restart" in remedy(found, "error 803")


def test_a_driver_too_old_for_what_is_installed_says_which_one_is_needed(tmp_path: Path) -> None:
    root = write(tmp_path, {**CARD, **module("535.183.01")})
    driver = FakeDriver("NVIDIA RTX A2000", RTX, cuda=12020)
    machine = Machine(root, "linux", "x86_64", lambda *_: "", libraries(libcuda=driver))
    packages = {**ON_PYPI, "tensorrt-rtx": "1.7.1", "tensorrt-rtx-cu13-libs": "1.7.1"}
    found = examine(machine, packages, {**RUNTIME, "tensorrt_rtx": "1.7.1"})
    todo = remedy(
        found,
        "driver 535.183.01 runs CUDA up to 12.2, and tensorrt-rtx-cu13-libs 1.7.1 needs CUDA 13",
    )
    assert todo.startswith("sudo apt-get install nvidia-driver-580, then restart")
    older = examine(machine, {**ON_PYPI, "tensorrt-rtx-cu12-libs": "1.7.1"}, RUNTIME)
    assert not any("needs CUDA" in p.what for p in older.problems)


def test_an_open_kernel_module_tells_its_release_too(rtx: Machine) -> None:
    write(rtx.root, module("570.133.20", "UNIX Open Kernel Module for x86_64"))
    assert examine(rtx, ON_PYPI, RUNTIME).driver.version == "570.133.20"


@pytest.mark.parametrize(
    "why",
    [
        "ModuleNotFoundError: No module named 'tensorrt'",  # installed, and its module is not there
        "ModuleNotFoundError: No module named 'tensorrt_bindings'",
        "OSError: libnvinfer.so.10: cannot open shared object file: No such file or directory",
    ],
)
def test_a_tensorrt_that_is_only_a_front_is_named_with_what_to_take_instead(
    rtx: Machine, why: str
) -> None:
    packages = {**ON_PYPI, "tensorrt": "10.13.3.9"}
    found = examine(rtx, packages, RUNTIME, {"tensorrt": why})
    assert remedy(found, f"tensorrt 10.13.3.9 does not load: {why}") == (
        "pip uninstall -y tensorrt && pip install 'edgecnn[tensorrt-rtx]'"
    )
    assert not any("no compiler" in p.what for p in found.problems), "said once"
    assert "does not load" in printed(found)


def test_windows_asks_its_own_libraries_and_gets_commands_for_its_own_shell(
    tmp_path: Path,
) -> None:
    driver = FakeDriver("NVIDIA GeForce RTX 4070 Laptop GPU", RTX)
    load = libraries(nvcuda=driver, nvml=FakeNvml())
    found = examine(Machine(tmp_path, "win32", "AMD64", lambda *_: "", load), ON_PYPI, RUNTIME)
    assert found.driver.version == "581.42"
    assert found.driver.gpus[0].name == "NVIDIA GeForce RTX 4070 Laptop GPU"
    assert remedy(found, "no CUDA provider") == (
        'pip uninstall -y onnxruntime; pip install "edgecnn[gpu]"'
    )
    commands = " ".join(p.do for p in found.problems)
    assert "sudo" not in commands
    assert "'" not in commands
    assert "/dev/video" not in printed(found)


@pytest.fixture
def orin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A Jetson Orin Nano on JetPack 6.2.1, in an environment that sees JetPack's packages."""
    monkeypatch.setattr(doctor, "_environment", lambda: "venv with the system's packages")
    policy, gpu = "sys/devices/system/cpu/cpufreq/policy", "sys/class/devfreq/17000000.gpu/"
    clocks = {
        f"{policy}{first}/{name}": value
        for first, cpus in ((0, "0 1 2 3"), (4, "4 5"))
        for name, value in {
            "affected_cpus": cpus,
            "scaling_cur_freq": "729600",
            "scaling_min_freq": "729600",
            "scaling_max_freq": "1344000",
            "cpuinfo_max_freq": "1728000",
            "scaling_governor": "schedutil",
            "scaling_driver": "tegra194",
        }.items()
    }
    root = write(
        tmp_path,
        {
            "etc/nv_tegra_release": (
                "# R36 (release), REVISION: 4.4, GCID: 41062509, BOARD: generic, EABI: aarch64,"
                " DATE: Mon Jun 16 16:07:13 UTC 2025\n"
            ),
            "proc/device-tree/model": (
                "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0"
            ),
            "etc/nvpmodel.conf": (
                "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n"
                "< POWER_MODEL ID=1 NAME=25W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n"
            ),
            **module("540.4.0", "UNIX Open Kernel Module for aarch64"),
            **clocks,
            gpu + "cur_freq": "306000000",
            gpu + "min_freq": "306000000",
            gpu + "max_freq": "624750000",
            gpu + "available_frequencies": "306000000 408000000 624750000 1020000000",
            gpu + "governor": "nvhost_podgov",
            "sys/class/devfreq/15340000.vic/cur_freq": "115200000",
            "usr/lib/python3.10/dist-packages/tensorrt/__init__.py": "",
            "usr/lib/python3.10/dist-packages/cv2/__init__.py": "",
            "usr/lib/python3/dist-packages/numpy/__init__.py": "",
        },
    )

    def ask(*command: str) -> str:
        answers = {"nvpmodel": "NV Power Mode: 15W\n0", "dpkg-query": "6.2.1+b38"}
        return answers.get(command[0], "")

    driver = FakeDriver("Orin", ORIN, cuda=12060)
    return Machine(root, "linux", "aarch64", ask, libraries(libcuda=driver))


JETPACK = {
    "numpy": "1.26.4",
    "cv2": "4.8.0 with GStreamer",
    "onnxruntime": "1.23.2, CPUExecutionProvider",
    "tensorrt": "10.3.0",
    "cuda": "12.9.10",
}
ON_JETPACK = {
    **{"numpy": "1.26.4", "onnxruntime": "1.23.2", "tensorrt": "10.3.0"},
    "cuda-bindings": "12.9.10",
}


def test_a_jetson_tells_board_jetpack_power_mode_and_clocks(orin: Machine) -> None:
    found = examine(orin, ON_JETPACK, JETPACK)
    assert found.is_well
    assert found.jetson is not None
    assert (found.jetson.jetpack, found.jetson.linux) == ("6.2.1", "36.4.4")
    assert found.driver.gpus[0].target == "sm87"
    out = printed(found)
    assert "Developer Kit Super, JetPack 6.2.1 (Jetson Linux 36.4.4)" in out
    assert "15W (0)" in out
    assert "CPU, 6 cores: 729 of 729 to 1344 MHz (hardware 1728), schedutil" in out
    assert "GPU: 306 of 306 to 624 MHz (hardware 1020), nvhost_podgov" in out
    assert [p.kind for p in found.problems] == ["advice", "advice"], "and nothing is missing"
    assert remedy(found, "the power mode is 15W") == "sudo nvpmodel -m 2"
    assert remedy(found, "the clocks follow the load").startswith("sudo jetson_clocks")


def test_a_jetson_at_its_fastest_with_locked_clocks_gets_no_advice(orin: Machine) -> None:
    for path in orin.find("sys/devices/system/cpu/cpufreq/policy*"):
        (path / "scaling_min_freq").write_text("1344000")
    (orin.root / "sys/class/devfreq/17000000.gpu/min_freq").write_text("624750000")
    machine = Machine(
        orin.root, "linux", "aarch64", lambda *_: "NV Power Mode: MAXN_SUPER\n2", orin.load
    )
    found = examine(machine, ON_JETPACK, JETPACK)
    assert found.problems == []
    assert "GPU: 306 of 624 to 624 MHz (hardware 1020), locked" in printed(found)


def test_the_power_mode_is_read_from_its_file_where_nvpmodel_does_not_answer(
    orin: Machine,
) -> None:
    write(orin.root, {"var/lib/nvpmodel/status": "pmode:0001 fmode:quiet"})
    machine = Machine(orin.root, "linux", "aarch64", lambda *_: "", orin.load)
    found = examine(machine, ON_JETPACK, JETPACK)
    assert found.jetson is not None
    assert found.jetson.power_mode is not None
    assert found.jetson.power_mode.name == "25W"
    assert found.jetson.jetpack == "6", "from Jetson Linux, without the package"


def test_an_environment_that_hides_jetpacks_tensorrt_says_how_to_make_one_that_does_not(
    orin: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_environment", lambda: "venv")
    loads = {name: said for name, said in JETPACK.items() if name not in ("tensorrt", "cv2")}
    absent = {"cv2": "ModuleNotFoundError: No module named 'cv2'"}
    found = examine(orin, {"numpy": "1.26.4", "onnxruntime": "1.23.2"}, loads, absent)
    for part in ("JetPack's TensorRT cannot be imported", "cv2 does not load"):
        assert remedy(found, part).startswith("python3 -m venv --system-site-packages")


def test_a_jetson_without_tensorrts_python_package_says_which_one(orin: Machine) -> None:
    (orin.root / "usr/lib/python3.10/dist-packages/tensorrt/__init__.py").unlink()
    (orin.root / "usr/lib/python3.10/dist-packages/tensorrt").rmdir()
    loads = {**JETPACK, "tensorrt_rtx": "1.7.1"}
    del loads["tensorrt"]
    found = examine(orin, {"numpy": "1.26.4", "onnxruntime": "1.23.2"}, loads)
    part = "cannot be imported, and TensorRT-RTX has no kernels for a Jetson"
    assert remedy(found, part) == "sudo apt-get install python3-libnvinfer"


def test_packages_that_hide_jetpacks_are_named(orin: Machine) -> None:
    packages = {**ON_JETPACK, "opencv-python-headless": "4.11.0.86", "tensorrt": "10.13.3.9"}
    loads = {**JETPACK, "cv2": "4.11.0 without GStreamer"}
    del loads["tensorrt"]
    found = examine(orin, packages, loads, {"tensorrt": "ImportError: libnvinfer.so.10"})
    assert remedy(found, "hides JetPack's OpenCV") == "pip uninstall -y opencv-python-headless"
    assert remedy(found, "tensorrt 10.13.3.9 does not load").startswith("pip uninstall -y tensorrt")


def test_numpy_2_in_front_of_jetpacks_opencv_says_to_go_back(orin: Machine) -> None:
    loads = {**JETPACK, "numpy": "2.2.6"}
    del loads["cv2"]
    why = {"cv2": "AttributeError: _ARRAY_API not found"}
    found = examine(orin, ON_JETPACK, loads, why)
    assert not found.is_well
    assert remedy(found, "cv2 does not load").startswith("pip install 'numpy<2'")


def test_cuda_13_on_jetpack_6_is_taken_back_not_the_driver_replaced(orin: Machine) -> None:
    found = examine(orin, {**ON_JETPACK, "cuda-bindings": "13.5.0"}, JETPACK)
    assert remedy(found, "cuda-bindings 13.5.0 needs CUDA 13") == "pip install 'cuda-bindings<13'"


def test_figures_measured_on_a_jetson_name_its_board_and_power_mode(orin: Machine) -> None:
    assert gpu_name(orin) == (
        "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super, sm87, power mode 15W,"
        " driver 540.4.0"
    )


def test_all_that_is_printed_is_in_the_json(orin: Machine) -> None:
    found = examine(orin, ON_JETPACK, JETPACK)
    written = json.loads(msgspec.json.encode(found))
    assert written["driver"]["gpus"][0]["target"] == "sm87"
    assert written["jetson"]["power_mode"] == {"number": 0, "name": "15W"}
    assert [clock["name"] for clock in written["clocks"]] == ["CPU, 6 cores", "GPU"]
    assert written["problems"][0]["kind"] == "advice"


def test_a_fake_driver_is_called_as_ctypes_calls_the_real_one() -> None:
    """What the fakes above write through must be what `ctypes.byref` gives a C function."""
    number = ctypes.c_int()
    put(ctypes.byref(number), 7)
    assert number.value == 7
