"""One backend takes the place of another between two frames, and no frame is lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.backends.switching import SwitchingBackend
from edgecnn_runtime.errors import BackendError

FRAMES = np.zeros((2, 4, 4, 3), np.uint8)


class Fake:
    """Answers with its number; may be held inside a call, or fail."""

    input_shape = (4, 4, 3)

    def __init__(self, name: str, number: float, fails: bool = False) -> None:
        self.name = name
        self.number = number
        self.fails = fails
        self.calls = self.closed = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.is_inside = threading.Event()

    def infer(self, frames: NDArray[np.uint8]) -> NDArray[Any]:
        assert not self.closed, "closed while it was in use"
        self.calls += 1
        self.is_inside.set()
        assert self.may_go_on.wait(10)
        if self.fails:
            raise BackendError("the GPU fell off the bus")
        return np.full((len(frames), 1), self.number, np.float32)

    def close(self) -> None:
        self.closed += 1


class Pipelined(Fake):
    in_flight = 2

    def submit(self, frames: NDArray[np.uint8]) -> Any:
        owner = self

        class Pending:
            def result(self) -> NDArray[Any]:
                return owner.infer(frames)

        return Pending()


def test_what_was_offered_answers_the_next_frame_and_the_first_is_closed() -> None:
    first, second = Fake("first", 1), Fake("second", 2)
    backend = SwitchingBackend(first)
    assert (backend.infer(FRAMES)[0, 0], backend.name) == (1, "first")
    assert backend.offer(second)
    assert backend.name == "first", "nothing changes before the next frame"
    assert first.closed == 0
    assert (backend.infer(FRAMES)[0, 0], backend.name) == (2, "second")
    assert (first.closed, second.closed, backend.switches) == (1, 0, ["first"])
    backend.close()
    backend.close()
    assert (first.closed, second.closed) == (1, 1)


def test_a_call_that_is_inside_is_answered_before_its_backend_is_closed() -> None:
    first, second = Fake("first", 1), Fake("second", 2)
    backend = SwitchingBackend(first)
    first.may_go_on.clear()
    answers: list[float] = []
    slow = threading.Thread(target=lambda: answers.append(backend.infer(FRAMES)[0, 0]))
    slow.start()
    assert first.is_inside.wait(10)
    backend.offer(second)
    assert backend.infer(FRAMES)[0, 0] == 2, "another thread need not wait for it"
    assert first.closed == 0
    first.may_go_on.set()
    slow.join(10)
    assert (answers, first.closed) == ([1], 1)
    backend.close()


def test_an_answer_on_its_way_comes_from_where_its_frames_went() -> None:
    first, second = Pipelined("first", 1), Fake("second", 2)
    backend = SwitchingBackend(first)
    assert backend.in_flight == 2
    one, two = backend.submit(FRAMES), backend.submit(FRAMES)
    backend.offer(second)
    three = backend.submit(FRAMES)
    assert backend.in_flight == 1
    assert first.closed == 0
    assert [p.result()[0, 0] for p in (one, two, three, two)] == [1, 1, 2, 1]
    assert first.closed == 1
    backend.close()


def test_closing_closes_a_backend_that_still_owes_an_answer() -> None:
    first, second = Pipelined("first", 1), Fake("second", 2)
    backend = SwitchingBackend(first)
    backend.submit(FRAMES)
    backend.offer(second)
    backend.infer(FRAMES)
    assert first.closed == 0
    backend.close()
    assert (first.closed, second.closed) == (1, 1)


def test_what_is_offered_too_late_or_takes_other_frames_is_closed() -> None:
    backend = SwitchingBackend(Fake("first", 1))
    other = Fake("other", 2)
    other.input_shape = (8, 8, 3)
    with pytest.raises(BackendError, match=r"other takes \(8, 8, 3\), not \(4, 4, 3\)"):
        backend.offer(other)
    assert other.closed == 1
    unused = Fake("unused", 3)
    assert backend.offer(unused)
    backend.close()
    assert unused.closed == 1
    late = Fake("late", 4)
    assert not backend.offer(late)
    assert late.closed == 1


@pytest.mark.parametrize("kind", [Fake, Pipelined])
def test_a_gpu_that_fails_is_left_for_the_spare_and_its_frame_is_answered(
    kind: Callable[..., Fake], caplog: pytest.LogCaptureFixture
) -> None:
    first, spare = kind("gpu", 1), Fake("cpu", 2)
    backend = SwitchingBackend(first, spare=lambda: spare)
    assert backend.submit(FRAMES).result()[0, 0] == 1
    first.fails = True
    waiting = [backend.submit(FRAMES), backend.submit(FRAMES)]
    assert [p.result()[0, 0] for p in waiting] == [2, 2]
    assert backend.infer(FRAMES)[0, 0] == 2
    assert (first.closed, backend.switches) == (1, ["gpu"])
    assert caplog.messages == ["the GPU fell off the bus; going on with cpu"]
    backend.close()


def test_without_a_spare_or_with_one_that_fails_too_the_first_error_is_told() -> None:
    def no_spare() -> Fake:
        raise BackendError("no CPU either")

    for backend in (
        SwitchingBackend(Fake("gpu", 1, fails=True)),
        SwitchingBackend(Fake("gpu", 1, fails=True), spare=no_spare),
        SwitchingBackend(Fake("gpu", 1, fails=True), spare=lambda: Fake("cpu", 2, fails=True)),
    ):
        with pytest.raises(BackendError, match="fell off the bus"):
            backend.infer(FRAMES)
        backend.close()


def test_many_threads_and_many_switches_lose_no_frame(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    fakes = [Fake(str(number), number) for number in range(12)]
    backend = SwitchingBackend(fakes[0])
    answers: list[float] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answers.append(float(backend.infer(FRAMES)[0, 0]))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for fake in fakes[1:]:
        backend.offer(fake)
        while backend.name != fake.name:
            time.sleep(0.001)
    stop.set()
    for thread in threads:
        thread.join(10)
    backend.close()
    assert len(answers) == sum(fake.calls for fake in fakes)
    assert all(fake.closed == 1 for fake in fakes)
