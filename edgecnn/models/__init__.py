"""The zoo: one file per paper, one table in `registry`."""

from edgecnn.models.registry import ZOO, Entry, build, entry

__all__ = ["ZOO", "Entry", "build", "entry"]
