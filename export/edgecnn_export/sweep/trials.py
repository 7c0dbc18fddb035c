"""Where the networks of a sweep are made: in this process, in several here, on Ray's machines.

Nothing is measured there: latency is taken afterwards, one variant at a time, so that no trial runs
beside a measurement.
"""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any, Protocol

import msgspec

from edgecnn_export.sweep.folder import VARIANT, Folder, Variant
from edgecnn_export.sweep.make import Tell, make
from edgecnn_export.sweep.plan import Plan, Point
from edgecnn_runtime.bundle import staged_folder
from edgecnn_runtime.errors import EdgecnnError, InputError, MissingPackageError

# What stays where it was made: it is of use to one that goes on with training alone.
LEFT = ("resume.ckpt", "last.safetensors", "tensorboard")


class Trials(Protocol):
    """Makes points, in any order; each is in the folder when it is given back."""

    def __call__(
        self, folder: Folder, plan: Plan, points: Sequence[Point], tell: Tell
    ) -> Iterator[Variant]: ...


def one_by_one(
    folder: Folder, plan: Plan, points: Sequence[Point], tell: Tell
) -> Iterator[Variant]:
    """In this process."""
    for point in points:
        yield make(folder, plan, point, tell)


class Processes:
    """Several at once on this machine, each in a process of its own."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def __call__(
        self, folder: Folder, plan: Plan, points: Sequence[Point], tell: Tell
    ) -> Iterator[Variant]:
        # Not forked: a copy of a process that has PyTorch's threads may hang.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(min(self.jobs, len(points)), mp_context=context)
        try:
            left: set[Future[Variant]] = set()
            for point in points:
                tell(f"{point.name}: waiting for one of {self.jobs} processes")
                left.add(pool.submit(make, folder, plan, point))
            while left:
                done, left = wait(left, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


class OnRay:
    """On the machines of a Ray cluster, which need edgecnn and DATA and no folder in common.

    Args:
        address: as `ray.init` takes it: `auto`, `HOST:PORT`, `ray://HOST:PORT`, or `local` for
            workers on this machine alone.
        workers: with `local`, how many.

    Raises:
        MissingPackageError: Ray is not installed.
    """

    def __init__(self, address: str, workers: int = 2) -> None:
        self.ray, self.address, self.workers = import_ray(), address, workers

    def __call__(
        self, folder: Folder, plan: Plan, points: Sequence[Point], tell: Tell
    ) -> Iterator[Variant]:
        ray = self.ray
        self._start(plan.threads)
        try:
            trial = ray.remote(num_cpus=plan.threads, max_retries=3)(make_elsewhere)
            # Runs that exist travel with their trial; what is trained is trained there.
            left = {
                trial.remote(plan, point, _files_of(folder.run(point))): point for point in points
            }
            tell(f"{len(left)} trials on Ray at {self.address}")
            while left:
                ready, _ = ray.wait(list(left), num_returns=1)
                point = left.pop(ready[0])
                try:
                    files = ray.get(ready[0])
                except ray.exceptions.RayTaskError as error:
                    raise _of_task(error, point) from None
                except ray.exceptions.RayError as error:
                    raise InputError(f"{point.name} on Ray: {_first_line(error)}") from None
                yield _receive(folder, point, files)
        finally:
            ray.shutdown()

    def _start(self, threads: int) -> None:
        here: dict[str, Any] = {"num_cpus": self.workers * threads, "include_dashboard": False}
        others: dict[str, Any] = {"address": self.address}
        try:
            self.ray.init(
                **(here if self.address == "local" else others),
                log_to_driver=False,
                logging_level="ERROR",
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(
                f"--ray {self.address}: {_first_line(error)}; expected local, auto or HOST:PORT of"
                " a head that runs (ray start --head)"
            ) from None


def import_ray() -> Any:
    """Ray, which the extra [ray] brings."""
    try:
        import ray
    except ImportError as error:
        raise MissingPackageError("--ray needs Ray: pip install 'edgecnn[ray]'") from error
    return ray


def make_elsewhere(plan: Plan, point: Point, run: dict[str, bytes]) -> dict[str, bytes]:
    """Make a point in a folder that is thrown away; what it held comes back as bytes."""
    with tempfile.TemporaryDirectory(prefix="edgecnn-trial-") as scratch:
        folder = Folder(Path(scratch))
        given = str(folder.path / "given") if point.run else ""
        at = Point(point.width, point.height, point.across, given)
        _write(folder.run(at), run)
        variant = make(folder, plan, at)
        folder.write_variant(msgspec.structs.replace(variant, point=point))
        return _files_of(folder.at(at))


def _files_of(folder: Path) -> dict[str, bytes]:
    if not folder.is_dir():
        return {}
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not set(path.relative_to(folder).parts) & set(LEFT)
    }


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def _receive(folder: Folder, point: Point, files: dict[str, bytes]) -> Variant:
    """Put a variant's folder in its place, whole; measurements of the one before go."""
    at = folder.at(point)
    if not (at / VARIANT).is_file():
        shutil.rmtree(at, ignore_errors=True)  # a part of what has come whole
    with staged_folder(at, marker=VARIANT) as staging:
        _write(staging, files)
    found = folder.variant(point)
    assert found is not None
    return found


def _of_task(error: Any, point: Point) -> Exception:
    """An error of ours as it was raised there; a mistake of ours with what Ray tells of it."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, EdgecnnError):
        return type(cause)(f"{point.name} on Ray: {cause}")
    return RuntimeError(f"{point.name} on Ray: {error}")


def _first_line(error: Exception) -> str:
    said = str(error).strip().splitlines()
    return said[0] if said else type(error).__name__
