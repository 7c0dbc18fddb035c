"""The wheel, and an environment that holds nothing but the wheel with an extra."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

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
) -> Callable[[str], Environment]:
    """Make a clean environment of the wheel with an extra."""

    def make(extra: str) -> Environment:
        folder = tmp_path_factory.mktemp(f"with-{extra}")
        python = folder / "venv" / "bin" / "python"
        for command in (
            ["venv", "--quiet", "--python", sys.executable, folder / "venv"],
            [
                "pip",
                "install",
                "--quiet",
                "--python",
                python,
                f"edgecnn[{extra}] @ {wheel.as_uri()}",
            ],
        ):
            subprocess.run([UV, *command], check=True, capture_output=True)
        (folder / "cwd").mkdir()
        return Environment(python.parent, folder / "cwd")

    return make


@pytest.fixture(scope="session")
def device(environment_with: Callable[[str], Environment]) -> Environment:
    """What a device has: the wheel with [cpu]."""
    return environment_with("cpu")
