"""The doctor on a Jetson: board, power mode, clocks, and what hides JetPack's packages."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from edgecnn_runtime import diagnosis as doctor
from edgecnn_runtime.latency.device import gpu_name
from edgecnn_runtime.machine.access import Machine

from .machines import (
    ORIN,
    FakeDriver,
    examine,
    libraries,
    module,
    printed,
    remedy,
    write,
)

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
