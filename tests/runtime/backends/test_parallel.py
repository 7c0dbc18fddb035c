"""Several frames at once on a CPU."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.backends import in_flight, spent_ns
from edgecnn_runtime.backends.ort.cpu import MOST, CpuBackend
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.stream.loop import Stream

Frames = list[NDArray[np.uint8]]


def for_files(bundle: Path, threads: int) -> Classifier:
    return Classifier.open(bundle, backend="onnxruntime", threads=threads, power="throughput")


def test_each_answer_belongs_to_its_frame(bundle: Path, pan: Frames) -> None:
    with for_files(bundle, 3) as classify:
        backend = classify.backend
        assert isinstance(backend, CpuBackend)
        inputs = [classify.preprocess(frame)[None] for frame in pan]
        pending = [backend.submit(one) for one in inputs]
        for one, waiting in zip(inputs, pending, strict=True):
            assert np.array_equal(waiting.result(), backend.infer(one))
            assert (spent_ns(waiting) or 0) > 0


def test_a_core_more_is_fed_than_infers(bundle: Path) -> None:
    with for_files(bundle, 3) as classify:
        assert in_flight(classify.backend) == 4
    with for_files(bundle, 64) as classify:
        assert in_flight(classify.backend) == MOST + 1


def test_one_core_infers_one_frame_at_once(bundle: Path) -> None:
    with for_files(bundle, 1) as classify:
        assert in_flight(classify.backend) == 1


def test_a_camera_gets_all_cores_for_its_newest_frame(bundle: Path) -> None:
    with Classifier.open(bundle, backend="onnxruntime") as classify:
        assert in_flight(classify.backend) == 1


def test_a_file_is_answered_in_order_and_as_by_one_core(bundle: Path, clip: Path) -> None:
    with Classifier.open(bundle, threads=1) as alone, for_files(bundle, 4) as together:
        results = list(Stream(together, clip))
        assert [r.index for r in results] == list(range(40))
        for result in results:
            assert result.predictions == alone(result.frame)
            assert result.infer_ms > 0


def test_no_more_frames_are_answered_than_were_asked_for(bundle: Path, clip: Path) -> None:
    with for_files(bundle, 4) as classify:
        assert [r.index for r in Stream(classify, clip, frames=7)] == list(range(7))


def test_what_is_on_its_way_is_given_up_when_it_is_closed(bundle: Path, clip: Path) -> None:
    before = threading.active_count()
    with for_files(bundle, 2) as classify:
        for _ in Stream(classify, clip):
            break
    assert threading.active_count() == before


@pytest.mark.parametrize("threads", [1, 2])
def test_a_filter_is_drawn_in_order_too(filter_bundle: Path, clip: Path, threads: int) -> None:
    from edgecnn_runtime.opening import open_model

    with open_model(filter_bundle, threads=threads, power="throughput") as draw:
        for result in Stream(draw, clip, frames=5):
            assert result.picture is not None
            assert np.array_equal(result.picture, draw(result.frame))
