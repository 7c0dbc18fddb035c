"""A bundle that answers with pictures: frame in, response out."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.backends import Backend, open_backend
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.errors import BundleError
from edgecnn_runtime.manifest import ImageManifest
from edgecnn_runtime.preprocess import as_bgr, preprocess_frame


class ImageFilter:
    """Show frames through the filter of a bundle.

    Has the three steps of a `Classifier`, and a picture where that one has predictions.

    >>> with ImageFilter.open("sobel.bundle") as edges:
    ...     picture = edges(frame)
    """

    def __init__(self, manifest: ImageManifest, backend: Backend) -> None:
        expected = (None, None, manifest.input.channels)
        if backend.input_shape != expected:
            raise BundleError(
                f"the graph takes {backend.input_shape}, the manifest says any size of"
                f" {manifest.input.channels} channel(s); export the bundle again"
            )
        self.manifest = manifest
        self.backend = backend

    @classmethod
    def open(
        cls,
        bundle: str | Path,
        *,
        backend: str = "auto",
        precision: str | None = None,
        threads: int | None = None,
        power: str = "save",
        cuda: str = "auto",
        compile: str = "never",
    ) -> ImageFilter:
        """Open a bundle on the best engine that this machine has; arguments as `Classifier.open`.

        Filters take frames of any size, and engines are compiled for one: it is ONNX Runtime.

        Raises:
            BundleError: the bundle is missing, incomplete or altered, or answers with labels.
            BackendError: the backend asked for cannot run here.
        """
        opened = open_bundle(bundle)
        manifest = opened.image_filter()
        engine = open_backend(
            opened,
            backend,
            precision=precision,
            threads=threads,
            power=power,
            cuda=cuda,
            compile=compile,
        )
        return cls(manifest, engine)

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """One frame, uint8 (H, W, 3) BGR of any size: the picture, (H', W', 3) BGR."""
        return self.decide(self.infer(self.preprocess(frame)[None])[0])

    def preprocess(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) BGR -> the graph's (H, W, C)."""
        return preprocess_frame(frame, self.manifest.input)

    def infer(self, inputs: NDArray[np.uint8]) -> NDArray[Any]:
        """(N, H, W, C) uint8 -> (N, H', W', C') uint8."""
        return self.backend.infer(inputs)

    def decide(self, response: NDArray[Any]) -> NDArray[np.uint8]:
        """(H', W', C') in the graph's colour -> (H', W', 3) BGR, to be shown."""
        if self.manifest.picture.color == "rgb":
            response = np.ascontiguousarray(response[:, :, ::-1])
        return as_bgr(response)

    def close(self) -> None:
        """Free the engine. A second call does nothing."""
        self.backend.close()

    def __enter__(self) -> ImageFilter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
