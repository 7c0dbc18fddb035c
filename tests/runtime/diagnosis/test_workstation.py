"""The doctor on workstations: with an RTX card, without one, with half of what it needs."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from edgecnn_runtime.machine.access import Machine

from .machines import (
    RTX,
    FakeDriver,
    FakeNvml,
    examine,
    libraries,
    module,
    printed,
    put,
    remedy,
    write,
)

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


def test_a_fake_driver_is_called_as_ctypes_calls_the_real_one() -> None:
    """What the fakes above write through must be what `ctypes.byref` gives a C function."""
    number = ctypes.c_int()
    put(ctypes.byref(number), 7)
    assert number.value == 7
