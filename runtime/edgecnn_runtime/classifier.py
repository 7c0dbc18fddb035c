"""A bundle that answers: frame in, labels out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.backends import Backend, open_backend
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.errors import BundleError
from edgecnn_runtime.manifest import Manifest
from edgecnn_runtime.preprocess import graph_input


@dataclass(frozen=True)
class Prediction:
    """One class of an answer; `probability` is from 0 to 1."""

    index: int
    label: str
    probability: float


class Classifier:
    """Classify frames with the network of a bundle.

    The three steps `preprocess`, `infer` and `decide` are public, so that a loop can time and
    overlap them; calling the classifier does all three.

    >>> with Classifier.open("terrain.bundle") as classify:
    ...     best = classify(frame)[0]
    """

    def __init__(self, manifest: Manifest, backend: Backend, *, top_k: int = 5) -> None:
        expected = manifest.input.takes
        if backend.input_shape != expected:
            raise BundleError(
                f"the graph takes {backend.input_shape}, the manifest says {expected};"
                " export the bundle again"
            )
        self.manifest = manifest
        self.backend = backend
        self.labels = manifest.labels
        self.top_k = min(top_k, len(manifest.labels))

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
        top_k: int = 5,
    ) -> Classifier:
        """Open a bundle on the best engine that this machine has.

        Args:
            bundle: a folder written by `edgecnn export`.
            backend: one of `backends.BACKENDS`. `auto` is the bundle's engine for this GPU, else
                ONNX Runtime with CUDA, else on the CPU, and says what it falls back from.
            precision: of the graph, or of the engine made from it; the bundle's first by default.
            threads: CPU threads; all cores by default.
            power: of the CPU, one of `backends.POWERS`: between two frames its threads sleep
                (`save`) or wait awake (`latency`, sooner by 5%); with `throughput` a `Stream` of a
                file runs a frame on each core: more answers a second, each of which takes longer.
            cuda: the binding that reaches the GPU: `auto`, `cuda-bindings` or `pycuda`.
            compile: what to do where there is no engine for this GPU: `never` compile one, serve on
                the fallback while one is compiled in the `background` and switch to it between two
                frames, or `wait` for it. `backend.name` tells what answers.
            top_k: how many predictions an answer holds.

        Raises:
            BundleError: the bundle is missing, incomplete or altered, or answers with pictures.
            BackendError: the backend asked for cannot run here.
        """
        opened = open_bundle(bundle)
        manifest = opened.classifier()
        engine = open_backend(
            opened,
            backend,
            precision=precision,
            threads=threads,
            power=power,
            cuda=cuda,
            compile=compile,
        )
        try:
            return cls(manifest, engine, top_k=top_k)
        except BaseException:
            engine.close()
            raise

    def __call__(self, frame: NDArray[np.uint8]) -> list[Prediction]:
        """Classify one frame, uint8 (H, W, 3) BGR: predictions, the most probable first."""
        return self.decide(self.infer(self.preprocess(frame)[None])[0])

    def probabilities(self, frames: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Classify frames of any sizes as one batch: float32 (N, classes)."""
        return self.infer(np.stack([self.preprocess(frame) for frame in frames]))

    def preprocess(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) BGR -> the graph's (H, W, C).

        Frames have any size, unless the graph was made for one of its own (`Input.frame`).
        """
        return graph_input(frame, self.manifest.input)

    def infer(self, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, H, W, C) uint8 -> (N, classes) float32."""
        return self.backend.infer(inputs)

    def decide(self, probabilities: NDArray[np.float32]) -> list[Prediction]:
        """(classes,) -> the `top_k` most probable, best first; of equals the first class."""
        order = np.argsort(-probabilities, kind="stable")[: self.top_k]
        best = zip(order.tolist(), probabilities[order].tolist(), strict=True)
        return [Prediction(i, self.labels[i], probability) for i, probability in best]

    def close(self) -> None:
        """Free the engine. A second call does nothing."""
        self.backend.close()

    def __enter__(self) -> Classifier:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
