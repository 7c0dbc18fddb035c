"""Open any bundle: what it answers with, its manifest tells."""

from __future__ import annotations

from pathlib import Path

from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.image_filter import ImageFilter
from edgecnn_runtime.manifest import ImageManifest


def open_model(
    bundle: str | Path,
    *,
    backend: str = "auto",
    precision: str | None = None,
    threads: int | None = None,
    power: str = "save",
    cuda: str = "auto",
    compile: str = "never",
    top_k: int = 5,
) -> Classifier | ImageFilter:
    """Open a bundle as a `Classifier`, or as an `ImageFilter` where its task is `image`.

    Arguments and errors are those of `Classifier.open`; `top_k` means nothing to a filter.
    """
    if isinstance(open_bundle(bundle).manifest, ImageManifest):
        return ImageFilter.open(
            bundle,
            backend=backend,
            precision=precision,
            threads=threads,
            power=power,
            cuda=cuda,
            compile=compile,
        )
    return Classifier.open(
        bundle,
        backend=backend,
        precision=precision,
        threads=threads,
        power=power,
        cuda=cuda,
        compile=compile,
        top_k=top_k,
    )
