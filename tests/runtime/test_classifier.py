from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecnn_runtime.classifier import Classifier, Prediction
from edgecnn_runtime.errors import BundleError


@pytest.mark.parametrize(("label", "channel"), [("red", 2), ("green", 1), ("blue", 0)])
def test_a_bgr_frame_of_one_colour_is_called_by_its_name(
    classify: Classifier, label: str, channel: int
) -> None:
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:, :, channel] = 200
    best, *others = classify(frame)
    assert best.label == label
    assert best.probability > 0.99
    assert len(others) == 2


def test_predictions_are_sorted_and_equals_keep_the_order_of_the_labels(
    classify: Classifier,
) -> None:
    found = classify.decide(np.array([0.2, 0.6, 0.2], np.float32))
    assert [p.label for p in found] == ["green", "red", "blue"]
    assert found[0] == Prediction(1, "green", float(np.float32(0.6)))


def test_top_k_is_never_more_than_there_are_labels(bundle: Path) -> None:
    with Classifier.open(bundle, top_k=2) as classify:
        assert len(classify.decide(np.array([0.1, 0.2, 0.7], np.float32))) == 2
    with Classifier.open(bundle, top_k=99) as classify:
        assert classify.top_k == 3


def test_a_batch_answers_as_its_frames_do_one_by_one(
    classify: Classifier, photographs: dict[str, np.ndarray]
) -> None:
    frames = list(photographs.values())
    batch = classify.probabilities(frames)
    for frame, row in zip(frames, batch, strict=True):
        assert classify(frame) == classify.decide(row)


def test_a_manifest_that_contradicts_its_graph_is_refused(bundle: Path) -> None:
    class Other:
        name, input_shape = "other", (64, 64, 3)

        def infer(self, frames: np.ndarray) -> np.ndarray:
            return frames

        def close(self) -> None: ...

    with Classifier.open(bundle) as classify, pytest.raises(BundleError, match="export"):
        Classifier(classify.manifest, Other())
