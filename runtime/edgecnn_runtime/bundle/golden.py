"""golden.npz: camera frames with the outputs that are right, by which a device verifies itself."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.errors import BundleError

if TYPE_CHECKING:
    from edgecnn_runtime.bundle.read import Bundle

Array = NDArray[Any]


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
        named = _numbered("frame", self.frames)
        return _archive(inputs=self.inputs, probabilities=self.probabilities, **named)


@dataclass(frozen=True)
class GoldenPictures:
    """Frames, and the pictures that the workstation answered with.

    Attributes:
        frames: each uint8 (H, W, 3) BGR, of any size.
        pictures: each uint8 (H', W', C) in the graph's colour.
    """

    frames: tuple[NDArray[np.uint8], ...]
    pictures: tuple[NDArray[np.uint8], ...]

    def to_bytes(self) -> bytes:
        """The content of golden.npz, as `Golden.to_bytes`."""
        return _archive(**_numbered("frame", self.frames), **_numbered("picture", self.pictures))


def _numbered(name: str, arrays: Iterable[Array]) -> dict[str, Array]:
    return {f"{name}_{i:02d}": array for i, array in enumerate(arrays)}


def _archive(**named: Array) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **named)  # type: ignore[arg-type]  # numpy types them as its flags
    return buffer.getvalue()


def read_golden(bundle: Bundle) -> Golden:
    """Read a classifier's golden frames and answers.

    Raises:
        BundleError: it has none, or they cannot be read.
    """
    with _opened(bundle) as arrays:
        found = Golden(_several(arrays, "frame"), arrays["inputs"], arrays["probabilities"])
        counts = len(found.frames), len(found.inputs), len(found.probabilities)
        if not counts[0] or len(set(counts)) > 1:
            raise ValueError("{} frames, {} inputs and {} answers".format(*counts))
        return found


def read_golden_pictures(bundle: Bundle) -> GoldenPictures:
    """Read a filter's golden frames and pictures.

    Raises:
        BundleError: it has none, or they cannot be read.
    """
    with _opened(bundle) as arrays:
        return GoldenPictures(_several(arrays, "frame"), _several(arrays, "picture"))


def read_golden_frames(bundle: Bundle) -> tuple[NDArray[np.uint8], ...]:
    """Read the frames alone, of a bundle of any task.

    Raises:
        BundleError: it has none, or they cannot be read.
    """
    with _opened(bundle) as arrays:
        return _several(arrays, "frame")


def _several(arrays: Mapping[str, Array], name: str) -> tuple[Array, ...]:
    return tuple(arrays[n] for n in sorted(arrays) if n.startswith(f"{name}_"))


@contextmanager
def _opened(bundle: Bundle) -> Iterator[Mapping[str, Array]]:
    """The arrays of golden.npz; what goes wrong with them is the bundle's fault."""
    entry = bundle.manifest.golden
    if entry is None:
        raise BundleError(f"{bundle.path} has no golden frames; name DATA to verify it with")
    path = bundle.file(entry)
    try:
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"{path} cannot be read: {error}; export the bundle again") from error
