"""The figures are scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from edgecnn.evaluation.metrics import measure


def _random(classes: int, images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(images, classes))
    targets = rng.integers(0, classes, images)
    logits[np.arange(images), targets] += 1
    p = np.exp(logits)
    return (p / p.sum(1, keepdims=True)).astype(np.float32), targets


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_metrics_equal_scikit_learns(classes: int) -> None:
    p, y = _random(classes, 400)
    m, called = measure(p, y), p.argmax(1)
    assert m.top1 == pytest.approx(sk.accuracy_score(y, called), abs=1e-9)
    assert m.precision == pytest.approx(sk.precision_score(y, called, average="macro"), abs=1e-9)
    assert m.recall == pytest.approx(sk.recall_score(y, called, average="macro"), abs=1e-9)
    one_hot = np.eye(classes)[y]
    assert m.map == pytest.approx(sk.average_precision_score(one_hot, p, average="macro"), abs=1e-6)
    rest = [sk.recall_score(y != c, called != c) for c in range(classes)]
    assert m.specificity == pytest.approx(np.mean(rest), abs=1e-9)
    right = [np.mean((y == c) == (called == c)) for c in range(classes)]
    assert m.accuracy == pytest.approx(np.mean(right), abs=1e-9)


def test_top5_counts_the_truth_among_the_five_most_probable() -> None:
    p, y = _random(10, 300)
    among = (np.argsort(-p, axis=1)[:, :5] == y[:, None]).any(1)
    assert measure(p, y).top5 == pytest.approx(among.mean(), abs=1e-6)


def test_a_class_that_is_never_called_has_precision_zero() -> None:
    p = np.tile(np.array([[0.8, 0.1, 0.1]], np.float32), (6, 1))
    m = measure(p, np.array([0, 0, 1, 1, 2, 2]))
    assert m.precision == pytest.approx(1 / 9)
    assert m.recall == pytest.approx(1 / 3)


def test_a_class_without_images_is_left_out_of_the_means() -> None:
    p, y = _random(4, 200)
    y[y == 3] = 0
    m = measure(p, y)
    assert m.recall == pytest.approx(
        sk.recall_score(y, p.argmax(1), average="macro", labels=[0, 1, 2])
    )
    assert np.isfinite(m.map)
