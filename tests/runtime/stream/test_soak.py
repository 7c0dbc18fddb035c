"""The soak of `make bench`, a hundred times shorter; in a process of its own, which is measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "soak_loop.py"
FRAMES = 12_000


@pytest.fixture(scope="module")
def found(bundle: Path) -> Any:
    if not Path("/proc/self/statm").exists():
        pytest.skip("what a process holds is read from Linux's /proc")
    options = [f"--frames={FRAMES}", "--every=400", "--seed=3"]
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(bundle), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_frame_is_lost_doubled_or_exchanged_whatever_fails(found: Any) -> None:
    assert found["wrong"] == []
    assert found["frames"] == FRAMES
    assert found["files"] > 4, "records were rotated"


def test_cameras_and_sinks_did_fail(found: Any) -> None:
    assert found["reconnects"] >= 10
    assert len(found["camera_faults"]) >= 5
    assert found["sink_faults"]["503"] > 0


def test_memory_stays_where_it_was_once_the_loop_is_warm(found: Any) -> None:
    # Of 125 MB: one frame in ten that somebody kept would be as much.
    assert found["resident_growth"] < 0.05
