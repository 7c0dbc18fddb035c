"""What is gained by weights from other data, and by the answers of a wider network.

python transfer.py [--seeds 3] [--epochs N] [few terrain distill]
few      40 digits a class of scikit-learn's (UCI, 8x8): from scratch, from a run on mnist5k, and
         from it with five epochs of the head alone; 800 other digits are held out
terrain  mobilenet_v1 of width 0.25 at 96 pixels, and the seconds it takes
distill  mobilenet_v1 of width 0.25 on mnist5k: from labels, and from a run of width 1 too
Differences are paired by image and by seed. The weights are those of the last epoch.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from learned import Learned, difference, summary, train, write
from numpy.typing import NDArray

from edgecnn.data import DataSet, load_data

Frame = NDArray[np.uint8]

A_CLASS = 40
HELD_OUT = 80  # a class


@dataclass(frozen=True)
class Digits:
    """Digits of 8x8 and 16 grey levels, as frames: uint8 (28, 28, 3), light on dark."""

    images: NDArray[np.float64]  # (N, 8, 8), 0 to 16
    targets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.targets)

    def frame(self, index: int, rng: np.random.Generator | None = None) -> Frame:
        levels = (self.images[index] * (255 / 16)).astype(np.uint8)
        large = cv2.resize(levels, (28, 28), interpolation=cv2.INTER_CUBIC)
        return np.repeat(large[:, :, None], 3, axis=2)


def uci_digits(seed: int) -> DataSet:
    """40 a class, drawn by the seed; the 800 that are held out are always the same."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images, targets = found.images, found.target.astype(np.int64)
    held, chosen = [], []
    for digit in range(10):
        order = np.random.default_rng(0).permutation(np.flatnonzero(targets == digit))
        held.append(order[:HELD_OUT])
        chosen.append(np.random.default_rng((seed, digit)).permutation(order[HELD_OUT:])[:A_CLASS])
    train_at, val_at = np.concatenate(chosen), np.concatenate(held)
    return DataSet(
        name="uci-digits",
        labels=tuple(str(d) for d in range(10)),
        train=Digits(images[train_at], targets[train_at]),
        val=Digits(images[val_at], targets[val_at]),
        recipe="digits",
        record={},
        content=28 / 32,
        grey=True,
        normalisation=(0.1 / 1.275, 1 / 1.275),
        in_memory=True,
    )


def few(seeds: Sequence[int], epochs: int | None) -> dict[str, Any]:
    """From scratch, against from a run on other data."""
    model, epochs = "lenet5_modern", epochs or 40
    source = train(load_data("mnist5k"), model, "few-source", epochs=epochs)
    init = {"init": str(source.run), "epochs": epochs}
    frozen = min(5, epochs - 1)  # of as many epochs in all
    thawing = {**init, "freeze": frozen, "epochs": epochs - frozen}
    ways: dict[str, dict[str, Any]] = {"scratch": {"epochs": epochs}, "init": init}
    ways[f"init, frozen {frozen} epochs"] = thawing
    runs = {
        way: [
            train(uci_digits(s), model, f"few-{len(more)}-{s}", seed=s, batch=32, **more)
            for s in seeds
        ]
        for way, more in ways.items()
    }
    title = f"{model}, {A_CLASS} a class of scikit-learn's digits; --init: a run on mnist5k"
    return _told(title, runs)


def terrain(seeds: Sequence[int], epochs: int | None) -> dict[str, Any]:
    """How good in how many seconds."""
    options = {"width": 0.25, "resolution": "96", "epochs": epochs}
    runs = [
        train(load_data("terrain", s), "mobilenet_v1", f"terrain-{s}", seed=s, **options)
        for s in seeds
    ]
    found = _told("terrain, mobilenet_v1 of width 0.25 at 96 pixels", {"scratch": runs})
    slowest = max(run.seconds for run in runs)
    met = found["ways"]["scratch"]["top1"] >= 0.97 and slowest < 60
    return {**found, "slowest_s": round(slowest, 1), "met": met}


def distill(seeds: Sequence[int], epochs: int | None) -> dict[str, Any]:
    """From labels, against from a wider run too. One split for all: what the students are judged
    by, the teacher must not have learned.
    """
    data = load_data("mnist5k", 0)
    model, options = "mobilenet_v1", {"resolution": "32", "epochs": epochs or 30}
    teacher = train(data, model, "distill-teacher", width=1.0, **options)
    ways: dict[str, dict[str, Any]] = {"labels": {}, "distilled": {"distill": str(teacher.run)}}
    runs = {
        way: [
            train(data, model, f"distill-{way}-{s}", width=0.25, seed=s, **options, **more)
            for s in seeds
        ]
        for way, more in ways.items()
    }
    title = "mnist5k, mobilenet_v1 of width 0.25 at 32 pixels; the teacher has width 1"
    return {**_told(title, runs), "teacher": summary([teacher])}


def _told(title: str, runs: dict[str, list[Learned]]) -> dict[str, Any]:
    first, *others = runs
    ways: dict[str, Any] = {way: summary(found) for way, found in runs.items()}
    for way in others:
        rights = [[run.right for run in runs[name]] for name in (first, way)]
        ways[way][f"against_{first}"] = difference(*rights)
    print(f"\n{title}\n\n| way | top-1 | of each | gained over {first} | minutes a run |")
    print("|---|---:|---|---|---:|")
    for way, entry in ways.items():
        gain = entry.get(f"against_{first}")
        points = _points(gain) if gain else "-"
        each = ", ".join(f"{100 * top1:.1f}" for top1 in entry["top1_of_each"])
        print(
            f"| {way} | {100 * entry['top1']:.2f}% | {each} | {points} | {entry['minutes']:.2f} |"
        )
    return {"title": title, "ways": ways}


def _points(gain: dict[str, Any]) -> str:
    low, high = gain["interval_95"]
    return f"{100 * gain['difference']:+.2f} points [{100 * low:+.2f}, {100 * high:+.2f}]"


PARTS = {"few": few, "terrain": terrain, "distill": distill}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="in place of the recipes', to try it")
    asked = parser.parse_args()
    for name in asked.parts or PARTS:
        found = PARTS[name](range(asked.seeds), asked.epochs)
        write(f"transfer_{name}", found.pop("title"), found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
