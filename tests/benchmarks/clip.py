"""The film of all benchmarks: 640x480, 300 frames, a camera that pans over four photographs."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from skimage import data

WIDTH, HEIGHT, FRAMES, FPS = 640, 480, 300, 30
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")
MARGIN = 1.3  # a photograph covers the picture so many times over, which leaves room to pan


def write_clip(path: Path) -> None:
    """Write the film as MPEG-4."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"part-{path.name}")
    writer = cv2.VideoWriter(str(part), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise SystemExit(f"OpenCV cannot write {path}: it has no MPEG-4 encoder")
    each = FRAMES // len(PHOTOGRAPHS)
    for name in PHOTOGRAPHS:
        photograph = cv2.cvtColor(getattr(data, name)(), cv2.COLOR_RGB2BGR)
        high, wide = photograph.shape[:2]
        scale = MARGIN * max(WIDTH / wide, HEIGHT / high)
        large = cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for at in np.linspace(0, 1, each):
            y, x = int(at * (large.shape[0] - HEIGHT)), int(at * (large.shape[1] - WIDTH))
            writer.write(np.ascontiguousarray(large[y : y + HEIGHT, x : x + WIDTH]))
    writer.release()
    part.replace(path)


if __name__ == "__main__":
    write_clip(Path(sys.argv[1]))
