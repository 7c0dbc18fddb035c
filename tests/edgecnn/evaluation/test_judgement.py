"""What is told of a classifier's answers as a whole."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn.data import load_data
from edgecnn.evaluation.judgement import file_names, judge, judge_answers
from edgecnn.evaluation.metrics import measure
from edgecnn_runtime.errors import CheckFailedError


def _answers(classes: int, images: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, classes, images)
    p = rng.random((images, classes)).astype(np.float32)
    p[np.arange(images), targets] += 0.5
    return p / p.sum(1, keepdims=True), targets


def test_the_figures_are_those_of_the_metrics() -> None:
    p, y = _answers(6, 300)
    found = judge_answers(p, y, tuple("abcdef"))
    assert found.metrics == measure(p, y)
    assert found.ap.mean() == pytest.approx(found.metrics.map)
    assert (found.right == (p.argmax(1) == y)).all()


def test_pairs_and_matrix_of_the_confused_agree() -> None:
    p, y = _answers(6, 300)
    found = judge_answers(p, y, tuple("abcdef"))
    matrix = np.zeros((6, 6), int)
    np.add.at(matrix, (y, p.argmax(1)), 1)
    assert (found.confusion() == matrix).all()
    assert (found.confusion([4, 1]) == matrix[np.ix_([4, 1], [4, 1])]).all()
    counts = [pair.images for pair in found.confused]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == (p.argmax(1) != y).sum()


def test_mistakes_are_the_most_certain_ones() -> None:
    p, y = _answers(4, 200)
    files = tuple(f"{i}.jpg" for i in range(200))
    found = judge_answers(p, y, tuple("abcd"), files, mistakes=5)
    wrong = np.flatnonzero(p.argmax(1) != y)
    assert len(found.mistakes) == 5
    assert found.mistakes[0].p == pytest.approx(p[wrong].max())
    for mistake in found.mistakes:
        assert mistake.file == f"{mistake.index}.jpg"
        assert "abcd"[y[mistake.index]] == mistake.truth != mistake.called
        assert mistake.p_truth == pytest.approx(p[mistake.index, y[mistake.index]])


def test_the_result_is_json_whatever_is_missing() -> None:
    p, y = _answers(5, 60)
    y[y == 4] = 0  # a class without images has neither curve nor average precision
    result = msgspec.json.decode(
        msgspec.json.encode(judge_answers(p, y, tuple("abcde")).as_result())
    )
    assert result["classes"][4]["ap"] is None
    assert "curve" not in result["classes"][4]
    assert len(result["classes"][0]["curve"]) == len(result["curve"]["recall"])
    few = sum(c["images"] < 10 for c in result["classes"])
    assert any(f"{few} of 5 classes have fewer" in line for line in result["warnings"])
    many = judge_answers(*_answers(200, 100), tuple(map(str, range(200)))).as_result()
    assert many["confusion"] is None
    assert sum(pair["images"] for pair in many["confused"]) == 100 - sum(
        c["tp"] for c in many["classes"]
    )


def test_answers_that_are_no_numbers_are_not_measured() -> None:
    data = load_data("terrain")

    def overflows(frames: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return np.full((len(frames), 3), np.nan, np.float32)

    with pytest.raises(CheckFailedError, match=r"300 of 300 answers are no numbers \(NaN"):
        judge(overflows, data)


def test_a_data_set_without_files_names_none() -> None:
    assert file_names(load_data("mnist5k")) == ()
