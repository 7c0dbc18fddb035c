"""Run every benchmark, one after the other; `--pairs N` goes to each."""

from __future__ import annotations

import subprocess
import sys

from harness import HERE

BENCHMARKS = (
    *("start_up", "stream_by_hand", "throughput_bound", "ultralytics_ratio"),
    *("camera_cpu", "frame_age", "eight_cameras", "rtsp_restarts"),
    *("profile_truth", "profile_vs_loops", "soak"),
)


def main() -> int:
    """1 if one of them missed a target beyond the noise."""
    return max(
        subprocess.run([sys.executable, HERE / f"{name}.py", *sys.argv[1:]], check=False).returncode
        for name in BENCHMARKS
    )


if __name__ == "__main__":
    sys.exit(main())
