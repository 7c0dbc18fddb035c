"""Which tests run where: `slow` ones when they are asked for, `gpu` ones where there is a GPU."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.cli import run as run_cli

OneLine = Callable[..., str]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the slow tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip with a reason, so that the summary tells what was not run and why."""
    wants_slow = config.getoption("--slow") or "slow" in config.getoption("-m")
    for item in items:
        if item.get_closest_marker("slow") and not wants_slow:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow or 'make test-slow'"))
        if item.get_closest_marker("gpu") and (why := why_no_gpu()):
            item.add_marker(pytest.mark.skip(reason=f"no NVIDIA GPU: {why}"))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A selection that is empty here, as `-m gpu` may be, is not a failure."""
    chosen_by_marker = session.config.getoption("-m")
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and chosen_by_marker:
        session.exitstatus = pytest.ExitCode.OK


@cache
def why_no_gpu() -> str:
    """Why the GPU tests cannot run, or nothing where they can. Asks the driver, not a package."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "the driver's libcuda.so.1 is not on this machine"
    if status := cuda.cuInit(0):
        return f"the driver answers cuInit with error {status}"
    count = ctypes.c_int()
    if cuda.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "the driver sees no device"
    return ""


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> OneLine:
    """Run a command line that must be refused: one line on standard error, exit status 2."""

    def run(*arguments: object, status: int = 2) -> str:
        capfd.readouterr()
        got = run_cli([str(a) for a in arguments])
        captured = capfd.readouterr()
        lines = captured.err.strip().splitlines()
        assert got == status, captured.err
        assert len(lines) == 1, captured.err
        assert lines[0].startswith("edgecnn"), lines[0]
        assert "Traceback" not in captured.err
        return lines[0]

    return run


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small MobileNet, trained for seconds on terrain: enough to be right more often than not."""
    import torch

    from edgecnn.commands.train import describe
    from edgecnn.data import load_data
    from edgecnn.training.fit import fit

    out = tmp_path_factory.mktemp("runs") / "terrain"
    data = load_data("terrain")
    run = describe(data, "mobilenet_v1", width=0.25, resolution="48", epochs=5)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same weights on machines with more cores
    fit(run, data, out, progress=False)
    torch.set_num_threads(threads)
    return out


@pytest.fixture(scope="session")
def trained_bundle(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `trained_run`. Tests that alter it must copy it first."""
    from edgecnn_export.export import export
    from edgecnn_export.sources import Options, open_source

    out = tmp_path_factory.mktemp("bundles") / "terrain.bundle"
    export(open_source(str(trained_run), Options()), out)
    return out


def write_photographs(folder: Path, count: int, color: tuple[int, int, int]) -> None:
    """Noisy pictures of one colour, as JPEG of different sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(sum(color))
    for i in range(count):
        picture: NDArray[np.uint8] = np.full((40 + i, 60, 3), color, np.uint8)
        picture += rng.integers(0, 30, picture.shape, dtype=np.uint8)
        cv2.imwrite(str(folder / f"{i}.jpg"), picture)


@pytest.fixture
def photographs_folder(tmp_path: Path) -> Path:
    """Two classes of twelve photographs."""
    folder = tmp_path / "photos"
    write_photographs(folder / "blue", 12, (180, 30, 30))
    write_photographs(folder / "red", 12, (30, 30, 180))
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a disk of a size: small_disk("256k") -> its folder."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("a full disk cannot be made here: no 'mount'")
        if done.returncode:
            pytest.skip(f"a full disk cannot be made here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        # Lazily: TensorBoard's writer may still hold its file open, on the disk that it filled.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
