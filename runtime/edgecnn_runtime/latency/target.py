"""What is measured: a bundle, or the run that it was made from, on PyTorch for reference."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn_runtime.backends import BACKENDS, REFERENCES
from edgecnn_runtime.errors import BackendError, InputError, unknown_name
from edgecnn_runtime.opening import open_model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgecnn_runtime.classifier import Classifier
    from edgecnn_runtime.image_filter import ImageFilter

# By name, since a device has none of it.
_MODULE = "edgecnn.evaluation.reference"


def is_run(target: str) -> bool:
    """Whether it is the folder of a training run."""
    return (Path(target) / "run.json").is_file()


def open_target(
    target: str,
    *,
    backend: str = "auto",
    precision: str | None = None,
    threads: int | None = None,
    compile: str = "never",
) -> Classifier | ImageFilter:
    """Open a bundle on a backend, or a run on PyTorch.

    Args:
        target: a bundle, or a run folder; with one of `REFERENCES` a bundle stands for the run
            that it was made from.
        backend: of `BACKENDS` or `REFERENCES`. The rest is `Classifier.open`'s.

    Raises:
        BackendError: it cannot run here, or not this target.
        BundleError, InputError: as `Classifier.open`.
    """
    if backend in REFERENCES:
        if precision not in (None, "fp32"):
            raise BackendError(f"backend {backend!r} computes in fp32, not in {precision}")
        if compile != "never":
            raise InputError(f"backend {backend!r} runs no engines; leave out --compile")
        opened: Classifier = _reference(backend).open_reference(target, backend, threads=threads)
        return opened
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, (*BACKENDS, *REFERENCES))
    if is_run(target):
        raise BackendError(
            f"backend {backend!r} runs a bundle, and {target} is a run folder: edgecnn export"
            f" {target} --out BUNDLE"
        )
    return open_model(
        target, backend=backend, precision=precision, threads=threads, compile=compile
    )


def run_frames(folder: str) -> tuple[NDArray[np.uint8], ...]:
    """Held-out frames of a run, uint8 (H, W, 3) BGR of any size."""
    frames: tuple[NDArray[np.uint8], ...] = _reference("torch").reference_frames(folder)
    return frames


def _reference(name: str) -> Any:
    try:
        return import_module(_MODULE)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] in ("edgecnn", "edgecnn_runtime"):
            raise
        raise BackendError(
            f"backend {name!r} needs the package {error.name!r}, which is not installed:"
            " pip install 'edgecnn[train,cpu]'"
        ) from error
