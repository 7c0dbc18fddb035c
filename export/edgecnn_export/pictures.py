"""The proof that a filter's artifacts give the pictures that the workstation gave."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgecnn_export.agreement import Frame, PictureAgreement, compare_pictures
from edgecnn_export.findings import AGREES, DIFFERS, OTHER_ANSWERS, Figures, Report, Verdict
from edgecnn_runtime.backends import open_graph
from edgecnn_runtime.bundle import Bundle, read_golden_pictures
from edgecnn_runtime.image_filter import ImageFilter
from edgecnn_runtime.manifest import ImageManifest


def pictures_of(
    graph: Path, manifest: ImageManifest, frames: Sequence[Frame], backend: str
) -> list[Frame]:
    """Run a filter's graph on raw frames, each of its own size."""
    with ImageFilter(manifest, open_graph(graph, backend)) as show:
        return [show.infer(show.preprocess(frame)[None])[0] for frame in frames]


def batch_of(graph: Path, manifest: ImageManifest, frames: Sequence[Frame]) -> list[Frame]:
    """Run a filter's graph on raw frames of one size as one batch."""
    with ImageFilter(manifest, open_graph(graph, "onnxruntime")) as show:
        return list(show.infer(np.stack([show.preprocess(frame) for frame in frames])))


def verify_pictures(
    bundle: Bundle, manifest: ImageManifest, frames: Sequence[Frame] | None, backend: str
) -> Report:
    """`verify` for a bundle that answers with pictures."""
    golden = read_golden_pictures(bundle) if frames is None or manifest.golden else None
    first: list[Frame] | None = None
    verdicts = []
    for artifact in manifest.onnx:
        graph = bundle.file(artifact)
        on_golden = on_data = None
        if golden:
            pictures = pictures_of(graph, manifest, golden.frames, backend)
            on_golden = compare_pictures(golden.pictures, pictures)
        if frames is not None:
            pictures = pictures_of(graph, manifest, frames, backend)
            first = first or pictures
            on_data = compare_pictures(first, pictures)
        wrong = next((f for f in (on_golden, on_data) if f and not f.holds), None)
        verdicts.append(
            Verdict(
                artifact.file,
                artifact.precision,
                DIFFERS if wrong else AGREES,
                f"{OTHER_ANSWERS}: {wrong}" if wrong else "",
                _figures(on_golden),
                _figures(on_data),
            )
        )
    return Report(verdicts)


def _figures(found: PictureAgreement | None) -> Figures | None:
    if found is None:
        return None
    return Figures(frames=found.frames, max_abs=found.levels, equal=found.equal)
