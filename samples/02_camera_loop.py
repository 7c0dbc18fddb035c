"""A loop of one's own over a camera or a film: python samples/02_camera_loop.py BUNDLE [SOURCE]

Of a camera each turn gets the newest frame: what the loop is too slow for is dropped, not queued.
"""

import sys

from edgecnn_runtime import Classifier, Stream

SURE = 0.8


def main(bundle: str, source: str = "0") -> None:
    seen = ""
    with Classifier.open(bundle) as classify, Stream(classify, source=source) as stream:
        for result in stream:
            best = result.best
            if best.probability >= SURE and best.label != seen:
                seen = best.label
                when = result.captured_at.astimezone()
                print(f"{when:%H:%M:%S}  {best.label}  (frame {result.frame_age_ms:.1f} ms old)")
        summary = stream.summary()
    age = summary.frame_age
    print(f"{summary.frames} frames, {summary.fps:.1f} fps, {summary.dropped} dropped")
    print(f"frame age p50 {age.p50:.1f} ms, p99 {age.p99:.1f} ms, p99.9 {age.p999:.1f} ms")


if __name__ == "__main__":
    main(*sys.argv[1:])
