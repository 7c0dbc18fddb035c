from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from edgecnn_runtime.camera.settings import Settings
from edgecnn_runtime.camera.sources import open_source
from edgecnn_runtime.classifier import Classifier, Prediction
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.stream.loop import Stream
from edgecnn_runtime.stream.result import Event, Result
from edgecnn_runtime.stream.run import run_stream
from edgecnn_runtime.stream.steady import UNKNOWN, Steady, steady_of

LABELS = ("grass", "gravel", "brick")
FRAME = np.zeros((8, 8, 3), np.uint8)
RATE = 32  # a power of two, so that times are exact


def result_of(probabilities: tuple[float, ...], index: int = 0, source: str = "a") -> Result:
    order = sorted(range(len(probabilities)), key=lambda i: -probabilities[i])
    predictions = [Prediction(i, LABELS[i], probabilities[i]) for i in order]
    now = datetime.now(timezone.utc)
    return Result(source, index, predictions, FRAME, now, 10.0, 0.1, 1.0, 0.1)


def judged(steady: Steady, frames: list[tuple[float, ...]]) -> list[Result]:
    """Results of a camera of `RATE` frames a second."""
    return [
        steady.judge(result_of(probabilities, i), now=i / RATE)
        for i, probabilities in enumerate(frames)
    ]


def changes(results: list[Result]) -> list[str]:
    return [label for label, _ in groupby(r.answer.label for r in results)]


GRASS, GRAVEL = (0.7, 0.2, 0.1), (0.2, 0.7, 0.1)


@pytest.mark.parametrize("smooth", ["exponential", "majority", "exponential:0.2", "majority:2"])
def test_labels_that_alternate_do_not_flicker_and_the_raw_answer_stays(smooth: str) -> None:
    results = judged(Steady(smooth=smooth), [GRASS, GRAVEL] * 60)
    assert changes(results) == ["grass"]
    assert [r.best.label for r in results[:4]] == ["grass", "gravel"] * 2


@pytest.mark.parametrize("smooth", ["exponential", "majority"])
def test_a_change_that_lasts_is_followed_once_and_soon(smooth: str) -> None:
    results = judged(Steady(smooth=smooth), [GRASS] * 90 + [GRAVEL] * 90)
    assert changes(results) == ["grass", "gravel"]
    first = next(i for i, r in enumerate(results) if r.answer.label == "gravel")
    assert 90 < first < 90 + RATE


def test_exponential_smoothing_depends_on_time_and_not_on_the_frame_rate() -> None:
    def after_a_second(rate: int) -> float:
        steady = Steady(smooth="exponential:1")
        steady.judge(result_of((1.0, 0.0, 0.0)), now=0.0)
        for i in range(1, rate + 1):
            last = steady.judge(result_of((0.0, 1.0, 0.0)), now=i / rate)
        raw = {p.label: p for p in last.predictions}
        assert raw["gravel"].probability == 1.0
        return last.answer.probability

    assert after_a_second(10) == pytest.approx(after_a_second(100), abs=1e-9)
    assert after_a_second(10) == pytest.approx(1 - np.exp(-1), abs=1e-9)


def test_below_the_threshold_the_answer_is_unknown() -> None:
    steady = Steady(unknown=0.6)
    assert steady.judge(result_of((0.7, 0.2, 0.1))).answer.label == "grass"
    answer = steady.judge(result_of((0.5, 0.4, 0.1))).answer
    assert (answer.label, answer.index, answer.probability) == (UNKNOWN, -1, 0.5)


def test_around_the_threshold_a_smoothed_answer_does_not_flicker() -> None:
    around = [(0.58, 0.3, 0.12), (0.62, 0.3, 0.08)] * 60
    assert changes(judged(Steady(smooth="majority:0.05", unknown=0.6), around)) == [UNKNOWN]
    raw = changes(judged(Steady(unknown=0.6), around))
    assert len(raw) == 120


def test_an_event_is_told_once_when_its_label_has_held_and_again_after_another() -> None:
    told: list[tuple[str, int]] = []
    steady = Steady(events=["gravel:2"], on_event=[lambda e, r: told.append((e.label, r.index))])
    frames = [GRAVEL] * 30 + [GRASS] * 5 + [GRAVEL] * 100 + [GRASS] * 5 + [GRAVEL] * 70
    results = judged(steady, frames)
    assert told == [("gravel", 35 + 2 * RATE), ("gravel", 140 + 2 * RATE)]
    with_events = [r for r in results if r.events]
    assert [r.index for r in with_events] == [i for _, i in told]
    assert with_events[0].events == (Event("gravel", 2.0, with_events[0].captured_at),)


def test_two_sources_are_judged_apart() -> None:
    steady = Steady(smooth="majority", events=["gravel:1"])
    for i in range(RATE + 1):
        one = steady.judge(result_of(GRASS, i, "front"), now=i / RATE)
        other = steady.judge(result_of(GRAVEL, i, "back"), now=i / RATE)
    assert (one.answer.label, other.answer.label) == ("grass", "gravel")
    assert not one.events
    assert [e.label for e in other.events] == ["gravel"]


def test_a_filter_s_result_passes_as_it_is() -> None:
    picture = replace(result_of(GRASS), predictions=[])
    assert Steady(unknown=0.5).judge(picture) is picture


def test_a_stream_counts_the_steady_answers(classify: Classifier, clip: Path) -> None:
    report = run_stream(Stream(classify, clip), steady=Steady(unknown=1.0))
    assert report.labels == {UNKNOWN: 40}


def test_seconds_of_a_film_are_its_own_however_fast_it_is_read(
    classify: Classifier, clip: Path
) -> None:
    for settings in (Settings(), Settings(skip=1)):
        steady = Steady(unknown=1.0, events=["unknown:0.99"])
        stream = Stream(classify, open_source(clip, settings=settings))
        assert [r.index for r in steady(stream) if r.events] == [30], "thirty frames are a second"


@pytest.mark.parametrize("smooth", ["exponential", "majority"])
def test_a_second_film_begins_anew(smooth: str) -> None:
    steady = Steady(smooth=smooth, events=["gravel:1"])
    judged(steady, [GRASS] * 4 * RATE)
    results = judged(steady, [GRAVEL] * 4 * RATE)
    assert changes(results)[-1] == "gravel"
    assert [r.events[0].label for r in results if r.events] == ["gravel"]


def test_a_loop_of_one_s_own_gets_steady_results(classify: Classifier, clip: Path) -> None:
    steady = Steady(smooth="exponential")
    results = list(steady(Stream(classify, clip)))
    assert len(results) == 40
    assert all(r.steady is not None and r.answer is r.steady for r in results)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("exponentail", None, []), "did you mean 'exponential'"),
        (("majority:0", None, []), "over 0 seconds"),
        (("majority:x", None, []), "not a number of seconds"),
        ((None, None, ["gravel"]), "expected LABEL:SECONDS"),
        ((None, None, ["gravle:2"]), "did you mean 'gravel'"),
        ((None, None, ["gravel:-1"]), "not a number of seconds"),
    ],
)
def test_what_is_not_understood_is_an_input_error(
    arguments: tuple[str | None, float | None, list[str]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        steady_of(*arguments, LABELS)


def test_a_filter_has_no_labels_to_smooth() -> None:
    with pytest.raises(InputError, match="a filter has no labels"):
        steady_of("majority", None, [], None)
    assert steady_of(None, None, [], None) is None
