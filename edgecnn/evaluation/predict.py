"""Answers of a network in PyTorch and of a bundle, through the same preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgecnn.models.cost import parameters
from edgecnn.training.inputs import to_tensor
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.manifest import Input
from edgecnn_runtime.preprocess import graph_input, preprocess

Frame = NDArray[np.uint8]
Predict = Callable[[list[Frame]], NDArray[np.float32]]  # frames -> (N, classes) probabilities

BATCH = 16  # frames; each of them is ten images to an ensemble of ten crops
PIXELS = 2**18  # at once: the system takes larger tensors back after each layer, for half the time


@dataclass(frozen=True)
class Answerer:
    """What answers, in PyTorch or on an engine. Called with frames it is a `Predict`.

    Attributes:
        infer: preprocessed images, uint8 (N, H, W, C) -> float32 (N, classes) probabilities.
        parameters: of the network.
    """

    spec: Input
    infer: Callable[[Frame], NDArray[np.float32]]
    parameters: int

    def __call__(self, frames: Sequence[Frame]) -> NDArray[np.float32]:
        return self.infer(np.stack([graph_input(frame, self.spec) for frame in frames]))


def in_pytorch(network: nn.Module, spec: Input) -> Answerer:
    """The training path: preprocess, normalise, network, softmax."""
    network = network.eval()
    at_once = max(1, PIXELS // (spec.height * spec.width))

    def infer(images: Frame) -> NDArray[np.float32]:
        with torch.inference_mode():
            parts = torch.split(to_tensor(torch.from_numpy(images), spec), at_once)
            rows = [network(part).softmax(1) for part in parts]
        out: NDArray[np.float32] = torch.cat(rows).numpy()
        return out

    return Answerer(spec, infer, parameters(network))


def prepared(frames: list[Frame], spec: Input) -> torch.Tensor:
    """What a network takes of these frames: float32 (N, C, H, W)."""
    images = torch.from_numpy(np.stack([preprocess(frame, spec) for frame in frames]))
    return to_tensor(images, spec)


def in_bundle(classifier: Classifier) -> Answerer:
    """The device's path."""
    manifest = classifier.manifest
    return Answerer(manifest.input, classifier.infer, manifest.model.parameters)


def predict_all(predict: Predict, frames: Iterable[Frame]) -> NDArray[np.float32]:
    """Answers for any number of frames, a batch at a time: float32 (N, classes)."""
    return np.concatenate([predict(batch) for batch in batches(frames)])


def batches(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    iterator = iter(frames)
    while batch := list(islice(iterator, BATCH)):
        yield batch
