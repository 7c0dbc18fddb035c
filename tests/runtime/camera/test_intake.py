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


def test_the_newest_frame_replaces_older_ones_which_are_counted() -> None:
    one: Intake[int] = Intake([Lane(1, lossless=False)])
    for number in range(10):
        assert one.put(0, number)
    assert one.get() == [(0, 9)]
    assert one.lanes[0].dropped == 9


def test_every_frame_arrives_in_order_through_a_short_queue() -> None:
    one: Intake[int] = Intake([Lane(2, lossless=True)])

    def make() -> None:
        for number in range(1000):
            one.put(0, number)
        one.finish(0)

    maker = threading.Thread(target=make)
    maker.start()
    got = list(iter(one.get, []))
    maker.join()
    assert got == [[(0, number)] for number in range(1000)]
    assert one.lanes[0].dropped == 0


def test_what_waits_is_still_given_after_the_end_and_then_the_error() -> None:
    one = intake(Lane(3, lossless=True))
    one.put(0, "a")
    one.finish(0, OSError("the camera burnt down"))
    assert one.get() == [(0, "a")]
    with pytest.raises(OSError, match="burnt down"):
        one.get()
    assert one.get() == []


@pytest.mark.parametrize("lossless", [True, False])
def test_closing_frees_a_waiting_taker(lossless: bool) -> None:
    one = intake(Lane(1, lossless=lossless))
    got: list[object] = []
    taker = threading.Thread(target=lambda: got.append(one.get()))
    taker.start()
    one.close()
    taker.join()
    assert got == [[]]


def test_closing_frees_a_maker_that_waits_for_room() -> None:
    full = intake(Lane(1, lossless=True))
    full.put(0, "a")
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(full.put(0, "b")))
    waiting.start()
    full.close()
    waiting.join(10)
    assert answers == [False]
    assert full.get() == []
