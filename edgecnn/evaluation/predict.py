"""Answers of a network in PyTorch and of a bundle, through the same preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgecnn.training.inputs import to_tensor
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.manifest import Input
from edgecnn_runtime.preprocess import preprocess

Frame = NDArray[np.uint8]
Predict = Callable[[list[Frame]], NDArray[np.float32]]  # frames -> (N, classes) probabilities

BATCH = 16  # frames; each of them is ten images to an ensemble of ten crops
PIXELS = 2**18  # at once: the system takes larger tensors back after each layer, for half the time


def in_pytorch(network: nn.Module, spec: Input) -> Predict:
    """The training path: preprocess, normalise, network, softmax."""
    network = network.eval()
    at_once = max(1, PIXELS // (spec.height * spec.width))

    def predict(frames: list[Frame]) -> NDArray[np.float32]:
        with torch.inference_mode():
            parts = torch.split(prepared(frames, spec), at_once)
            rows = [network(part).softmax(1) for part in parts]
        out: NDArray[np.float32] = torch.cat(rows).numpy()
        return out

    return predict


def prepared(frames: list[Frame], spec: Input) -> torch.Tensor:
    """What a network takes of these frames: float32 (N, C, H, W)."""
    images = torch.from_numpy(np.stack([preprocess(frame, spec) for frame in frames]))
    return to_tensor(images, spec)


def in_bundle(classifier: Classifier) -> Predict:
    """The device's path."""
    return classifier.probabilities


def predict_all(predict: Predict, frames: Iterable[Frame]) -> NDArray[np.float32]:
    """Answers for any number of frames, a batch at a time: float32 (N, classes)."""
    return np.concatenate([predict(batch) for batch in batches(frames)])


def batches(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    iterator = iter(frames)
    while batch := list(islice(iterator, BATCH)):
        yield batch
