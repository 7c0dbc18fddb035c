"""The figures are scikit-learn's, to 1e-9, on random and on degenerate answers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from edgecnn.evaluation.calibration import calibrate
from edgecnn.evaluation.curves import at_recalls, average_precisions, precision_recall, top_k
from edgecnn.evaluation.metrics import count, measure, truth_ranks

Answers = tuple[NDArray[np.float32], NDArray[np.int64]]

EXACT = 1e-9


def _random(classes: int, images: int, seed: int = 0) -> Answers:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(images, classes))
    targets = rng.integers(0, classes, images)
    logits[np.arange(images), targets] += 1
    p = np.exp(logits)
    return (p / p.sum(1, keepdims=True)).astype(np.float32), targets


def _never_called(classes: int = 5) -> Answers:
    p, y = _random(classes, 300, seed=1)
    p[:, 2] = 0
    return p, y


def _absent(classes: int = 5) -> Answers:
    p, y = _random(classes, 300, seed=2)
    y[y == 3] = 0
    return p, y


def _tied(classes: int = 6) -> Answers:
    """Probabilities in steps of a fifth: many are equal, in an image and over the images."""
    p, y = _random(classes, 300, seed=3)
    return np.round(p * 5).astype(np.float32) / 5, y


CASES = {
    "two classes": _random(2, 400),
    "three classes": _random(3, 400),
    "ten classes": _random(10, 400),
    "more classes than images": _random(50, 40),
    "a class never called": _never_called(),
    "a class absent": _absent(),
    "ties": _tied(),
    "one answer for all": (np.tile(np.float32([[0.8, 0.1, 0.1]]), (6, 1)), np.arange(6) // 2),
    "one class alone": (_random(3, 50)[0], np.full(50, 1)),
    "one image": (np.float32([[0.2, 0.5, 0.3]]), np.array([2])),
    "all right": (np.eye(4, dtype=np.float32)[np.arange(40) % 4], np.arange(40) % 4),
    "all wrong": (np.eye(4, dtype=np.float32)[np.arange(40) % 4], (np.arange(40) + 1) % 4),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def answers(request: pytest.FixtureRequest) -> Answers:
    found: Answers = request.param
    return found


def test_figures_over_images_and_classes(answers: Answers) -> None:
    p, y = answers
    m, called, present = measure(p, y), p.argmax(1), np.unique(y)
    macro = {"average": "macro", "labels": present, "zero_division": 0}
    assert m.top1 == pytest.approx(sk.accuracy_score(y, called), abs=EXACT)
    assert m.precision == pytest.approx(sk.precision_score(y, called, **macro), abs=EXACT)
    assert m.recall == pytest.approx(sk.recall_score(y, called, **macro), abs=EXACT)
    one_against_rest = [(y == c, called == c) for c in present]
    rest = [sk.recall_score(~a, ~b, zero_division=0) for a, b in one_against_rest]
    assert m.specificity == pytest.approx(np.mean(rest), abs=EXACT)
    right = [sk.accuracy_score(a, b) for a, b in one_against_rest]
    assert m.accuracy == pytest.approx(np.mean(right), abs=EXACT)
    areas = [sk.average_precision_score(y == c, p[:, c]) for c in present]
    assert m.map == pytest.approx(np.mean(areas), abs=EXACT)


def test_figures_of_each_class(answers: Answers) -> None:
    p, y = answers
    classes, called = p.shape[1], p.argmax(1)
    n = count(called, y, classes)
    every = list(range(classes))
    precision, recall, f1, images = sk.precision_recall_fscore_support(
        y, called, labels=every, zero_division=0
    )
    assert n.precision == pytest.approx(precision, abs=EXACT)
    assert n.recall == pytest.approx(recall, abs=EXACT)
    assert n.f1 == pytest.approx(f1, abs=EXACT)
    assert n.images.tolist() == images.tolist()
    (tn, fp), (fn, tp) = sk.multilabel_confusion_matrix(y, called, labels=every).transpose(1, 2, 0)
    for ours, theirs in ((n.tn, tn), (n.fp, fp), (n.fn, fn), (n.tp, tp)):
        assert ours.tolist() == theirs.tolist()


def test_curves_over_thresholds(answers: Answers) -> None:
    p, y = answers
    areas = average_precisions(p, y)
    for c in range(p.shape[1]):
        if not (y == c).any():
            assert np.isnan(areas[c])
            continue
        ours = precision_recall(p[:, c], y == c)
        precision, recall, _ = sk.precision_recall_curve(y == c, p[:, c])
        recalls = np.unique(recall[recall > 0])
        assert ours.recall == pytest.approx(recalls, abs=EXACT)
        highest = [precision[recall == r][-1] for r in recalls]  # theirs are at rising thresholds
        assert ours.precision == pytest.approx(np.array(highest), abs=EXACT)
        assert areas[c] == pytest.approx(sk.average_precision_score(y == c, p[:, c]), abs=EXACT)
        ends = at_recalls(ours, np.array([0.0, 1.0]))
        assert ends.tolist() == [ours.precision[0], ours.precision[-1]]


def test_top_k_is_scikit_learns_where_of_equals_the_first_class_counts(answers: Answers) -> None:
    p, y = answers
    classes = p.shape[1]
    curve, every = top_k(p, y), np.arange(classes)
    if classes == 2:  # of which theirs takes one column
        assert curve.accuracy.tolist() == [sk.accuracy_score(y, p.argmax(1)), 1]
        return
    for k in range(1, curve.accuracy.size + 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # k classes of k are always right
            # Theirs takes the last of equal classes, so it is asked with the classes turned round.
            theirs = sk.top_k_accuracy_score(classes - 1 - y, p[:, ::-1], k=k, labels=every)
        assert curve.accuracy[k - 1] == pytest.approx(theirs, abs=EXACT)
        assert np.mean(truth_ranks(p, y) < k) == pytest.approx(theirs, abs=EXACT)
        if k == min(5, classes):
            assert measure(p, y).top5 == pytest.approx(theirs, abs=EXACT)


def test_curves_over_top_k(answers: Answers) -> None:
    p, y = answers
    classes = p.shape[1]
    curve, order = top_k(p, y), np.argsort(-p, axis=1, kind="stable")
    truth = np.eye(classes, dtype=bool)[y]
    for k in range(1, curve.accuracy.size + 1):
        called = np.zeros_like(truth)
        np.put_along_axis(called, order[:, :k], True, axis=1)
        precision, recall, _, _ = sk.precision_recall_fscore_support(
            truth, called, average=None, zero_division=0
        )
        present = truth.any(0)
        assert curve.precision[:, k - 1] == pytest.approx(precision, abs=EXACT)
        assert curve.recall[present, k - 1] == pytest.approx(recall[present], abs=EXACT)
        means = curve.mean
        assert means[0][k - 1] == pytest.approx(precision[present].mean(), abs=EXACT)
        assert means[1][k - 1] == pytest.approx(recall[present].mean(), abs=EXACT)


def test_reliability_and_the_errors_of_calibration(answers: Answers) -> None:
    p, y = answers
    rows, called = np.arange(len(y)), p.argmax(1)
    found = calibrate(p, y, bins=10)
    confidence = p[rows, called].astype(np.float64)
    right, promised = calibration_curve(called == y, confidence, n_bins=10, pos_label=True)
    filled = [b for b in found.bins if b.images]
    assert [b.accuracy for b in filled] == pytest.approx(right, abs=EXACT)
    assert [b.confidence for b in filled] == pytest.approx(promised, abs=EXACT)
    shares = np.array([b.images for b in filled]) / len(y)
    assert found.ece == pytest.approx(np.sum(shares * np.abs(right - promised)), abs=EXACT)
    assert found.mce == pytest.approx(np.max(np.abs(right - promised)), abs=EXACT)
    apart = (p.astype(np.float64) - np.eye(p.shape[1])[y]) ** 2
    assert found.brier == pytest.approx(apart.sum(1).mean(), abs=EXACT)


def test_a_class_that_is_never_called_has_precision_zero() -> None:
    m = measure(*CASES["one answer for all"])
    assert m.precision == pytest.approx(1 / 9)
    assert m.recall == pytest.approx(1 / 3)


def test_answers_that_are_always_right_have_full_marks() -> None:
    m = measure(*CASES["all right"])
    assert (m.top1, m.precision, m.recall, m.specificity, m.map) == (1, 1, 1, 1, 1)
    assert calibrate(*CASES["all right"]).ece == 0
