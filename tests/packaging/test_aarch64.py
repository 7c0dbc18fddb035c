"""The wheel on 64-bit ARM: Debian's arm64 packages and aarch64 wheels, run by qemu.

Emulated, so that what is computed is checked, never how long it takes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgecnn.data.terrain import pan
from edgecnn_runtime.stream.recording import Recording

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"
UV = Path(sys.executable).with_name("uv")
QEMU = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
INSTALL = "apt-get install qemu-user-static mmdebstrap debian-archive-keyring"
LIBRARIES = "/usr/lib/aarch64-linux-gnu"
PLATFORM = ("--python-platform", "aarch64-manylinux_2_36", "--only-binary", ":all:")
# What update-alternatives would have linked, had the packages been configured.
ALTERNATIVES = f"{LIBRARIES}/blas:{LIBRARIES}/lapack"


@dataclass(frozen=True)
class Arm:
    """A Python for aarch64 with the wheel installed."""

    root: Path
    python: Path
    cwd: Path

    def run(self, *arguments: str | Path, timeout: int = 900) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*emulated(self.root), self.python, *arguments],
            cwd=self.cwd,
            env={**_environment(), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )

    def must(self, *arguments: str | Path) -> str:
        """Run what must succeed, and return what it prints."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


def emulated(root: Path) -> list[str | Path]:
    assert QEMU is not None
    return [QEMU, "-L", root, "-E", f"LD_LIBRARY_PATH={ALTERNATIVES}"]


def _environment() -> dict[str, str]:
    """Without what points at this machine's own Python and libraries."""
    unwanted = ("PYTHON", "LD_", "VIRTUAL_ENV", "EDGECNN_")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


MakeArm = Callable[..., Arm]
Agrees = Callable[[Callable[..., str]], dict[str, str]]


@pytest.fixture(scope="module")
def make_arm(tmp_path_factory: pytest.TempPathFactory) -> MakeArm:
    """Unpack packages, and make an environment that sees them."""
    if sys.platform != "linux":
        pytest.skip("qemu runs Linux programs on Linux alone")
    if QEMU is None or shutil.which("mmdebstrap") is None:
        pytest.skip(f"qemu-aarch64-static or mmdebstrap is not here: {INSTALL}")

    def make(name: str, *packages: str) -> Arm:
        root = CACHE / name
        unpacked = subprocess.run(
            [ROOT / "tests/packaging/arm64.sh", root, "python3", "libstdc++6", *packages],
            capture_output=True,
            text=True,
            check=False,
        )
        if unpacked.returncode:
            last = (unpacked.stderr.strip().splitlines() or ["no reason given"])[-1]
            pytest.skip(f"Debian's arm64 packages cannot be unpacked ({last}): {INSTALL}")
        folder = tmp_path_factory.mktemp(name)
        system = Arm(root, root / "usr/bin/python3", folder)
        venv = folder / "venv"
        system.must("-m", "venv", "--system-site-packages", "--without-pip", venv)
        return Arm(root, venv / "bin/python", folder)

    return make


@pytest.fixture(scope="module")
def arm(make_arm: MakeArm, wheel: Path) -> Arm:
    """A small ARM board: the wheel with [cpu]. Installed by this machine, which is quicker."""
    made = make_arm("arm64")
    (site,) = made.cwd.glob("venv/lib/python3*/site-packages")
    there = ("--python-version", site.parent.name.removeprefix("python"), *PLATFORM)
    command = [UV, "pip", "install", "--quiet", "--python", sys.executable, "--target", site]
    subprocess.run([*command, *there, f"edgecnn[cpu] @ {wheel.as_uri()}"], check=True)
    return made


@pytest.fixture(scope="module")
def like_jetson(make_arm: MakeArm, wheel: Path) -> Arm:
    """[jetson] over the system's own NumPy 1 and OpenCV with GStreamer, as on JetPack 6.

    Installed by the emulated pip, which sees what the system has.
    """
    own = ("python3-opencv", "python3-numpy", "python3-pil", "gstreamer1.0-plugins-base")
    made = make_arm("arm64-opencv", "python3-pip", *own)
    pip = ("-m", "pip", "install", "--quiet", "--no-compile")  # to bytecode, which takes minutes
    made.must(*pip, f"edgecnn[jetson] @ {wheel.as_uri()}")
    return made


def test_the_wheel_answers_on_aarch64_as_it_does_here(
    arm: Arm, agrees_with_this_machine: Agrees
) -> None:
    assert agrees_with_this_machine(arm.must)["machine"] == "aarch64"


def test_verify_holds_aarch64_to_the_workstations_answers(arm: Arm, trained_bundle: Path) -> None:
    assert arm.run("-m", "edgecnn_runtime", "verify", trained_bundle).returncode == 0


def test_a_film_is_streamed_on_aarch64(arm: Arm, trained_bundle: Path, tmp_path: Path) -> None:
    with Recording(tmp_path / "film.avi", fps=30) as film:
        for frame, _ in pan(6):
            film.append(frame)
    options = ("--source", tmp_path / "film.avi", "--headless", "--json", "-")
    said = arm.must("-m", "edgecnn_runtime", "stream", trained_bundle, *options)
    assert json.loads(said)["frames"] == 6


def test_jetson_installs_nothing_that_hides_the_systems_packages(like_jetson: Arm) -> None:
    installed = {p.name.split("-")[0].lower() for p in like_jetson.cwd.glob("venv/**/*.dist-info")}
    assert {"edgecnn", "onnxruntime", "cuda_bindings"} <= installed
    assert not installed & {"numpy", "opencv_python", "opencv_python_headless", "pillow"}


def test_jetson_answers_with_the_systems_numpy_1_and_opencv(
    like_jetson: Arm, agrees_with_this_machine: Agrees
) -> None:
    ran = agrees_with_this_machine(like_jetson.must)
    assert ran["machine"] == "aarch64"
    assert ran["numpy"].startswith("1.")
    assert ran["cv2_at"].startswith(str(like_jetson.root)), "the system's own OpenCV"


def test_a_gstreamer_pipeline_is_classified_through_the_systems_opencv(
    like_jetson: Arm, trained_bundle: Path
) -> None:
    """As the camera connector of a Jetson, with a test picture in the place of the camera."""
    pipeline = (
        "videotestsrc num-buffers=6 ! video/x-raw, width=320, height=240"
        " ! videoconvert ! video/x-raw, format=BGR ! appsink"
    )
    sample = ROOT / "samples/04_csi_camera.py"
    said = like_jetson.must(sample, trained_bundle, pipeline, "3")
    assert said.count("ms old") == 3
