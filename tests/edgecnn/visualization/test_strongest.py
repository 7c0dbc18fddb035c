"""The patches that excite a channel most, against a search of every place of every image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgecnn.data import load_data
from edgecnn.data.splits import some_frames
from edgecnn.evaluation.predict import batches, prepared
from edgecnn.training.run import load_network, read_run
from edgecnn.visualization.boxes import Fields
from edgecnn.visualization.strongest import strongest
from edgecnn_runtime.errors import InputError


def test_the_nine_patches_are_the_nine_largest_responses(trained_run: Path) -> None:
    run = read_run(trained_run)
    network = load_network(trained_run, run)
    frames = list(some_frames(load_data("terrain").val, 40))
    x = prepared(frames, run.input)
    batched = (prepared(batch, run.input) for batch in batches(frames))
    found = strongest(network, batched, ["features.1", "features.4"])
    features = network.get_submodule("features")
    for depth, name in ((2, "features.1"), (5, "features.4")):
        with torch.no_grad():
            maps = features[:depth](x).numpy()  # (images, channels, H, W)
        for channel in (0, 3, 7):
            best = sorted(
                ((float(maps[n, channel].max()), -n) for n in range(len(frames))), reverse=True
            )[:9]
            assert found[name].responses[channel].tolist() == pytest.approx(
                [value for value, _ in best], rel=1e-5, abs=1e-6
            )
            for rank in range(9):
                image = int(found[name].images[channel, rank])
                row, column = found[name].places[channel, rank].tolist()
                response = float(found[name].responses[channel, rank])
                assert maps[image, channel, row, column] == pytest.approx(
                    response, rel=1e-5, abs=1e-6
                )
                assert len(set(found[name].images[channel].tolist())) == 9


def test_the_patch_around_a_place_gives_the_response_by_itself() -> None:
    """Cut out the field of the strongest unit: the rest of the image does not matter."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3), nn.ReLU()
    )
    frames = list(some_frames(load_data("terrain").val, 12))
    x = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255
    found = strongest(network, [x[:5], x[5:]], ["4"])["4"]
    fields = Fields.of(network, 96, 96)
    for channel in range(5):
        image, (row, column) = int(found.images[channel, 0]), found.places[channel, 0].tolist()
        top, left, bottom, right = fields.box("4", row, column)
        assert (bottom - top, right - left) == (8, 8)
        patch = x[image : image + 1, :, top:bottom, left:right]
        alone = network(patch)[0, channel].detach()
        assert alone.shape == (1, 1)
        assert float(alone) == pytest.approx(float(found.responses[channel, 0]), abs=1e-5)


def test_among_equals_the_first_image_and_the_first_place_win() -> None:
    x = torch.zeros(4, 1, 3, 3)
    x[1, 0, 1, 2] = x[1, 0, 2, 0] = x[3, 0, 0, 0] = 1.0
    found = strongest(nn.Sequential(nn.Identity()), [x], ["0"], count=3)["0"]
    assert found.images.tolist() == [[1, 3, 0]]
    assert found.places.tolist() == [[[1, 2], [0, 0], [0, 0]]]


def test_chosen_channels_stand_out_and_are_alive() -> None:
    x = torch.ones(10, 4, 2, 2)
    x[0, 1] = 9.0  # one image in ten: it stands out most
    x[:, 2] = 0.0  # dead
    x[0, 3] = 5.0
    found = strongest(nn.Sequential(nn.Identity()), [x], ["0"], count=1)["0"]
    assert found.channels(2) == [1, 3]
    assert 2 not in found.channels(3)


def test_no_images_are_an_error() -> None:
    with pytest.raises(InputError, match="no images"):
        strongest(nn.Sequential(nn.Identity()), [], ["0"])
