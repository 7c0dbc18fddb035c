"""Read and write bundles: a folder with a manifest, ONNX graphs, engines and golden frames."""

from edgecnn_runtime.atomic import atomic_write
from edgecnn_runtime.bundle.golden import (
    Golden,
    GoldenPictures,
    read_golden,
    read_golden_frames,
    read_golden_pictures,
)
from edgecnn_runtime.bundle.read import Bundle, open_bundle
from edgecnn_runtime.bundle.write import add_artifact, staged_folder, write_manifest

__all__ = [
    "Bundle",
    "Golden",
    "GoldenPictures",
    "add_artifact",
    "atomic_write",
    "open_bundle",
    "read_golden",
    "read_golden_frames",
    "read_golden_pictures",
    "staged_folder",
    "write_manifest",
]
