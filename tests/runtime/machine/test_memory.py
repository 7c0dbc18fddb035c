"""What this process holds, and what it gives back."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from edgecnn_runtime.machine.memory import give_back, resident_mb


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone")
def test_holes_between_blocks_are_given_back() -> None:
    blocks = [np.ones(100_000, np.uint8) for _ in range(2000)]  # 200 MB, below mmap's threshold
    kept = blocks[::50]
    full = resident_mb()
    del blocks
    assert give_back()
    after = resident_mb()
    assert full is not None
    assert after is not None
    assert after[0] < full[0] - 100
    assert sum(int(block[0]) for block in kept) == len(kept)
