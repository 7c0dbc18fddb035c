"""An RTSP server that is killed and started again twenty times under a running stream.

In one process, on the real loop: how long until the source is back, whether any frame was stale,
and what memory, threads and open files were before and after. The frames carry the time they were
made in their pixels.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

from eight_cameras import bundle
from harness import CACHE, RESULTS, ROOT, RUNTIME, machine, versions_of
from rtsp_servers import Server

from edgecnn_runtime.camera.settings import settings_of
from edgecnn_runtime.camera.sources import open_source
from edgecnn_runtime.camera.synthetic import burned
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.stream.loop import Stream

STALE_MS = 1000
WARM_UP = 3  # restarts before memory is looked at: libraries load on the first ones


def resources() -> dict[str, float]:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "memory_mb": round(pages * resource.getpagesize() / 1e6, 2),
        "threads": threading.active_count(),
        "files": len(list(Path("/proc/self/fd").iterdir())),
    }


def age_ms(frame: object, stamp_ns: int) -> float:
    """How old a frame is, as its pixels tell."""
    made_ns = burned(frame)  # type: ignore[arg-type]
    if made_ns is None:
        raise SystemExit("a frame came whose code cannot be read: it is damaged")
    return (stamp_ns - made_ns) / 1e6


def main() -> int:
    """Measure, print and write; 1 where a restart was not survived or a frame was stale."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--pairs", type=int, help="of no meaning here")
    times = parser.parse_args().times
    CACHE.mkdir(parents=True, exist_ok=True)
    server = Server()
    server.start()
    back_s: list[float] = []
    ages: list[float] = []
    before: dict[str, float] = {}
    with Classifier.open(bundle("mobilenet_v1", "0.25", "48")) as classify:
        source = open_source(server.uri, name="camera", settings=settings_of({"stall": 2}))
        stream = Stream(classify, source)
        left, killed_at = 10, 0.0
        for result in stream:
            ages.append(age_ms(result.frame, time.perf_counter_ns()))
            if killed_at and source.reconnects > len(back_s):  # not one that was on its way
                back_s.append(time.perf_counter() - killed_at)
                killed_at = 0.0
                if len(back_s) == WARM_UP:
                    before = resources()
                if os.isatty(2):
                    sys.stderr.write(f"\r  {len(back_s)} of {times} ")
            left -= 1
            if left == 0:
                if len(back_s) == times:
                    after = resources()
                    break
                server.kill()
                killed_at = time.perf_counter()
                server.start()
                left = 10
    server.kill()
    survived = source.reconnects
    grown = after["memory_mb"] / before["memory_mb"] - 1
    stale = sum(age > STALE_MS for age in ages)
    result = {
        "name": "rtsp_restarts",
        "title": f"an RTSP server killed and started again {times} times",
        "command": f"python tests/benchmarks/rtsp_restarts.py --times {times}",
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions_of(Path(sys.executable), *RUNTIME),
        "restarts": times,
        "survived": survived,
        "frames": len(ages),
        "stale_frames": stale,
        "oldest_frame_ms": round(max(ages), 1),
        "frame_age_p50_ms": round(statistics.median(ages), 1),
        "back_after_s": {
            "median": round(statistics.median(back_s), 2),
            "max": round(max(back_s), 2),
            "values": [round(value, 2) for value in back_s],
        },
        f"after_{WARM_UP}_restarts": before,
        f"after_{times}_restarts": after,
        "memory_growth": round(grown, 4),
    }
    path = RESULTS / "rtsp_restarts.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{survived} of {times} survived, {stale} stale frames, oldest {max(ages):.0f} ms")
    print(f"back after {statistics.median(back_s):.2f} s (median), {max(back_s):.2f} s (longest)")
    print(f"after {WARM_UP}: {before}\nafter {times}: {after}  memory {grown:+.1%}")
    print(f"written to {path.relative_to(ROOT)}")
    return 0 if survived == times and not stale and grown < 0.02 else 1


if __name__ == "__main__":
    sys.exit(main())
