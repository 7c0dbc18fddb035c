from __future__ import annotations

import threading

import pytest

from edgecnn_runtime.camera.newest import Handoff


def test_the_newest_frame_replaces_older_ones_which_are_counted() -> None:
    slot: Handoff[int] = Handoff(1, lossless=False)
    for number in range(10):
        assert slot.put(number)
    assert slot.get() == 9
    assert slot.dropped == 9


def test_every_frame_arrives_in_order_through_a_short_queue() -> None:
    queue: Handoff[int] = Handoff(2, lossless=True)

    def make() -> None:
        for number in range(1000):
            queue.put(number)
        queue.finish()

    maker = threading.Thread(target=make)
    maker.start()
    got = list(iter(queue.get, None))
    maker.join()
    assert got == list(range(1000))
    assert queue.dropped == 0


def test_what_waits_is_still_given_after_the_end_and_then_the_error() -> None:
    queue: Handoff[int] = Handoff(3, lossless=True)
    queue.put(1)
    queue.finish(OSError("the camera burnt down"))
    assert queue.get() == 1
    with pytest.raises(OSError, match="burnt down"):
        queue.get()
    assert queue.get() is None


@pytest.mark.parametrize("lossless", [True, False])
def test_closing_frees_a_waiting_taker(lossless: bool) -> None:
    queue: Handoff[int] = Handoff(1, lossless=lossless)
    got: list[int | None] = []
    taker = threading.Thread(target=lambda: got.append(queue.get()))
    taker.start()
    queue.close()
    taker.join()
    assert got == [None]


def test_closing_frees_a_maker_that_waits_for_room() -> None:
    queue: Handoff[int] = Handoff(1, lossless=True)
    queue.put(1)
    answers: list[bool] = []
    maker = threading.Thread(target=lambda: answers.append(queue.put(2)))
    maker.start()
    queue.close()
    maker.join()
    assert answers == [False]
    assert queue.get() is None
