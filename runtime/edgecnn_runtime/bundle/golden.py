"""golden.npz: camera frames with the outputs that are right, by which a device verifies itself."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.errors import BundleError

if TYPE_CHECKING:
    from edgecnn_runtime.bundle.read import Bundle


@dataclass(frozen=True)
class Golden:
    """Frames before preprocessing, and what the training path answered.

    Attributes:
        frames: each uint8 (H, W, 3) BGR, of any size.
        inputs: uint8 (N, h, w, C), the frames after the training path's preprocessing.
        probabilities: float32 (N, classes).
    """

    frames: tuple[NDArray[np.uint8], ...]
    inputs: NDArray[np.uint8]
    probabilities: NDArray[np.float32]

    def to_bytes(self) -> bytes:
        """The content of golden.npz: plain arrays, readable without pickle and without us."""
        named = {f"frame_{i:02d}": frame for i, frame in enumerate(self.frames)}
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            inputs=self.inputs,
            probabilities=self.probabilities,
            **named,  # type: ignore[arg-type]  # numpy types the keywords as its own flags
        )
        return buffer.getvalue()


def read_golden(bundle: Bundle) -> Golden:
    """Read a bundle's golden frames.

    Raises:
        BundleError: it has none, or they cannot be read.
    """
    entry = bundle.manifest.golden
    if entry is None:
        raise BundleError(f"{bundle.path} has no golden frames; name DATA to verify it with")
    path = bundle.file(entry)
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = sorted(n for n in archive.files if n.startswith("frame_"))
            return Golden(
                tuple(archive[n] for n in names), archive["inputs"], archive["probabilities"]
            )
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"{path} cannot be read: {error}; export the bundle again") from error
