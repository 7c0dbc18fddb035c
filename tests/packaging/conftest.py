"""The wheel, and an environment that holds nothing but the wheel with an extra."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgecnn_runtime import Classifier
from edgecnn_runtime.bundle import open_bundle, read_golden_frames

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True)
class Environment:
    """A virtual environment outside the repository; `bin` holds its programs."""

    bin: Path
    cwd: Path

    def run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run one of its programs in an empty folder, without our variables."""
        kept = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
        return subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.cwd,
            env={name: os.environ[name] for name in kept if name in os.environ},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )

    def python(self, code: str) -> str:
        """Run code that must succeed, and return what it prints."""
        done = self.run("python", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the working tree."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def environment_with(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Environment]:
    """Make a clean environment of the wheel with an extra.

    By default of the Python that runs the tests; `also` are packages to install beside it.
    """

    def make(extra: str, base: str = sys.executable, also: tuple[str, ...] = ()) -> Environment:
        folder = tmp_path_factory.mktemp(f"with-{extra}")
        python = folder / "venv" / "bin" / "python"
        wanted = (f"edgecnn[{extra}] @ {wheel.as_uri()}", *also)
        for command in (
            ["venv", "--quiet", "--python", base, folder / "venv"],
            ["pip", "install", "--quiet", "--python", python, *wanted],
        ):
            subprocess.run([UV, *command], check=True, capture_output=True)
        (folder / "cwd").mkdir()
        return Environment(python.parent, folder / "cwd")

    return make


@pytest.fixture(scope="session")
def device(environment_with: Callable[..., Environment]) -> Environment:
    """What a device has: the wheel with [cpu]."""
    return environment_with("cpu")


CLASSIFY = """
import json, platform, sys
import numpy as np, cv2, onnxruntime
from edgecnn_runtime import Classifier
from edgecnn_runtime.bundle import open_bundle, read_golden_frames
frames = read_golden_frames(open_bundle(sys.argv[1]))
with Classifier.open(sys.argv[1], threads=1) as classify:
    probabilities = classify.probabilities(frames)
    labels = [classify(frame)[0].label for frame in frames]
print(json.dumps({
    "machine": platform.machine(), "python": platform.python_version(), "labels": labels,
    "numpy": np.__version__, "cv2": cv2.__version__, "cv2_at": cv2.__file__,
    "onnxruntime": onnxruntime.__version__, "probabilities": probabilities.tolist(),
}))
"""


@pytest.fixture
def agrees_with_this_machine(
    trained_bundle: Path,
) -> Callable[[Callable[..., str]], dict[str, str]]:
    """Let another Python classify the golden frames, and hold it to what this one answers.

    Takes what runs that Python and returns what it prints; returns the versions that ran there.
    """

    def agrees(python: Callable[..., str]) -> dict[str, str]:
        there = json.loads(python("-c", CLASSIFY, trained_bundle))
        frames = read_golden_frames(open_bundle(trained_bundle))
        with Classifier.open(trained_bundle) as classify:
            here = classify.probabilities(frames)
            labels = [classify(frame)[0].label for frame in frames]
        assert there["labels"] == labels
        assert len(set(labels)) > 1, "frames of one class would show little"
        assert np.abs(np.array(there["probabilities"]) - here).max() <= 1e-4
        ran = {name: value for name, value in there.items() if isinstance(value, str)}
        print("ran on", ran)
        return ran

    return agrees
