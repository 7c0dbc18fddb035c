"""[jetson] on the versions that JetPack 6 has: Python 3.10, NumPy 1, OpenCV 4.8. No Jetson."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgecnn.data.terrain import pan
from edgecnn_runtime.stream.recording import Recording

if TYPE_CHECKING:
    from tests.packaging.conftest import Environment

pytestmark = pytest.mark.slow

JETPACKS = ("numpy==1.26.4", "opencv-python-headless==4.8.0.76")


def find_python_310() -> str | None:
    """One that runs: pyenv puts a name on the path for each version that it does not run."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which("python3.10"), *pyenv.glob("versions/3.10.*/bin/python")]
    for python in filter(None, found):
        asked = [python, "-c", "import sys; print(*sys.version_info[:2])"]
        if subprocess.run(asked, capture_output=True, check=False).stdout.strip() == b"3 10":
            return str(python)
    return None


@pytest.fixture(scope="module")
def jetpack(environment_with: Callable[..., Environment]) -> Environment:
    python = find_python_310()
    if python is None:
        pytest.skip("no Python 3.10 is here, which JetPack 6 has")
    return environment_with("jetson", python, JETPACKS)


def test_the_wheel_answers_on_jetpacks_versions_as_it_does_here(
    jetpack: Environment, agrees_with_this_machine: Callable[..., dict[str, str]]
) -> None:
    def must(*arguments: str | Path) -> str:
        done = jetpack.run("python", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    ran = agrees_with_this_machine(must)
    assert ran["python"].startswith("3.10.")
    assert (ran["numpy"], ran["cv2"]) == ("1.26.4", "4.8.0")


@pytest.mark.parametrize("verb", ["verify", "profile", "doctor"])
def test_a_devices_verbs_run_on_jetpacks_versions(
    jetpack: Environment, trained_bundle: Path, verb: str
) -> None:
    done = jetpack.run("edgecnn", verb, *([] if verb == "doctor" else [trained_bundle]))
    assert done.returncode == 0, done.stderr + done.stdout


def test_a_film_is_streamed_and_recorded_on_jetpacks_versions(
    jetpack: Environment, trained_bundle: Path, tmp_path: Path
) -> None:
    with Recording(tmp_path / "film.avi", fps=30) as film:
        for frame, _ in pan(9):
            film.append(frame)
    sinks = ("--sink", tmp_path / "out.mp4", "--sink", tmp_path / "out.jsonl")
    options = ("--source", tmp_path / "film.avi", "--headless", "--json", "-")
    done = jetpack.run("edgecnn", "stream", trained_bundle, *options, *sinks)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == 9
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 9


def test_compile_says_what_a_jetson_or_another_machine_wants(
    jetpack: Environment, trained_bundle: Path
) -> None:
    """No TensorRT is here: one line, and no traceback on Python 3.10 either."""
    done = jetpack.run("edgecnn", "compile", trained_bundle, "--target", "local")
    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert "no TensorRT compiler is installed" in said
