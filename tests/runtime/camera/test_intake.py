from __future__ import annotations

import threading

import pytest

from edgecnn_runtime.camera.intake import Intake, Lane


def intake(*lanes: Lane[str]) -> Intake[str]:
    return Intake(lanes)


def test_lanes_take_turns_however_much_waits_in_one() -> None:
    both = intake(Lane(9, lossless=True), Lane(9, lossless=True), Lane(9, lossless=True))
    for item in "abcde":
        both.put(0, item)
    both.put(2, "x")
    both.put(2, "y")
    assert [both.get() for _ in range(5)] == [
        *([(0, "a")], [(2, "x")], [(0, "b")], [(2, "y")]),
        [(0, "c")],
    ]


def test_a_batch_has_one_of_each_lane_and_goes_on_after_the_last() -> None:
    three = intake(*(Lane(9, lossless=True) for _ in range(3)))
    for number in range(3):
        three.put(number, "first")
        three.put(number, "second")
    assert three.get(2) == [(0, "first"), (1, "first")]
    assert three.get(8) == [(2, "first"), (0, "second"), (1, "second")]


def test_a_full_lane_drops_its_oldest_and_no_other_lanes() -> None:
    two = intake(Lane(2, lossless=False), Lane(2, lossless=False))
    two.put(1, "x")
    for item in "abcd":
        two.put(0, item)
    assert [lane.dropped for lane in two.lanes] == [2, 0]
    assert two.get(2) == [(0, "c"), (1, "x")]


def test_a_lane_that_failed_is_an_error_only_where_no_other_ended_well() -> None:
    one, two = OSError("one"), OSError("two")
    mixed = intake(Lane(1, lossless=True), Lane(1, lossless=True))
    mixed.finish(0, one)
    mixed.put(1, "x")
    assert mixed.get() == [(1, "x")]
    mixed.finish(1)
    assert mixed.get() == []
    dead = intake(Lane(1, lossless=True), Lane(1, lossless=True))
    dead.finish(0, one)
    dead.finish(1, two)
    with pytest.raises(OSError, match="one"):
        dead.get()


def test_closing_lets_go_of_whoever_waits() -> None:
    full = intake(Lane(1, lossless=True))
    full.put(0, "a")
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(full.put(0, "b")))
    waiting.start()
    full.close()
    waiting.join(10)
    assert answers == [False]
    assert full.get() == []
