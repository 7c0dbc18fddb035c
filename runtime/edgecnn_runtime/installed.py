"""What is installed, read from the packages' metadata: nothing is imported, so nothing can fail."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import NamedTuple

# Packages that install the same files: the last one wins, and removing one breaks the other.
_TWINS = (
    ("onnxruntime", "onnxruntime-gpu", "onnxruntime-gpu   (or onnxruntime, without a GPU)"),
    (
        "opencv-python",
        "opencv-python-headless",
        "opencv-python-headless   (or opencv-python, for windows)",
    ),
)


def version(package: str) -> str | None:
    """The version of a distribution, None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


class Conflict(NamedTuple):
    """Packages that overwrote one another, and the commands that mend it."""

    what: str
    do: str


def conflicts(versions: Callable[[str], str | None] | None = None) -> dict[str, Conflict]:
    """What collides here, by the first package of each pair."""
    versions = versions or version
    return {
        one: Conflict(
            f"{one} and {other} are both installed and overwrite one another",
            f"pip uninstall -y {one} {other} && pip install {keep}",
        )
        for one, other, keep in _TWINS
        if versions(one) and versions(other)
    }
