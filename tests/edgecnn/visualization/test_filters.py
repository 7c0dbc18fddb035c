"""Filters are drawn on one scale, and over the epochs as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgecnn.commands.train import describe
from edgecnn.data import load_data
from edgecnn.training.fit import fit
from edgecnn.training.snapshots import Snapshots, read_snapshots
from edgecnn.visualization.filters import (
    chosen_epochs,
    draw_evolution,
    draw_filters,
    relative_changes,
)
from edgecnn.visualization.shown import choose_pictures
from edgecnn.visualization.studio import Studio
from edgecnn.visualization.subject import Options, open_subject
from edgecnn.visualization.tiles import mosaic, signed
from edgecnn_runtime.errors import InputError


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    out = tmp_path_factory.mktemp("runs") / "digits"
    data = load_data("mnist5k")
    run = describe(data, "lenet5", epochs=2, batch=500)
    layers = ("features.0", "features.4")
    fit(run, data, out, progress=False, watchers=[Snapshots(out, layers)])
    return _studio(out)


def _studio(run: Path) -> Studio:
    subject = open_subject(str(run), Options())
    return Studio(subject, choose_pictures((), None))


def _tiles(image: np.ndarray, rows: int, columns: int, side: int) -> np.ndarray:  # type: ignore[type-arg]
    """Tiles of one mosaic back as (rows, columns, pixels, pixels, 4)."""
    times = -(-48 // side)
    large, gap = side * times, max(2, round(0.06 * side * times))
    return np.stack(
        [
            [
                image[r * (large + gap) :, c * (large + gap) :][:large:times, :large:times]
                for c in range(columns)
            ]
            for r in range(rows)
        ]
    )


def test_weights_are_grey_around_0_and_reach_black_and_white() -> None:
    weights = np.array([[[[0.0, 2.0]]], [[[-4.0, 1.0]]]], np.float32)
    assert signed(weights)[..., 0].tolist() == [[[0.5, 0.75]], [[0.0, 0.625]]]
    colours = np.array([[[[1.0]], [[0.0]], [[-1.0]]]], np.float32)
    assert signed(colours).tolist() == [[[[1.0, 0.5, 0.0]]]]


def test_a_mosaic_has_its_tiles_in_rows_and_nothing_between() -> None:
    tiles = [np.full((3, 3, 3), i / 4, np.float32) for i in range(4)]
    image = mosaic(tiles, 3)
    found = _tiles(image, 2, 3, 3)
    assert found[0, :, 0, 0, 0].tolist() == [0, 0.25, 0.5]
    assert found[1, 0, 2, 2].tolist() == [0.75, 0.75, 0.75, 1]
    assert not found[1, 1:, ..., 3].any()  # transparent
    assert image[0, 48, 3] == 0


def test_the_drawn_filters_are_the_weights_on_one_scale(trained_run: Path) -> None:
    studio = _studio(trained_run)
    weight = studio.subject.network.get_submodule("features.0.0").weight
    assert isinstance(weight, torch.Tensor)
    figure = draw_filters(studio).draw()
    image = np.asarray(figure.axes[0].images[0].get_array())
    found = _tiles(image, 1, 8, 3)[0]
    largest = float(weight.detach().abs().max())
    want = 0.5 + weight.detach().permute(0, 2, 3, 1).numpy() / (2 * largest)
    assert np.allclose(found[..., :3], want, atol=1e-6)
    assert abs(want - 0.5).max() == pytest.approx(0.5)


def test_the_evolution_shows_the_weights_of_each_epoch(digits: Studio) -> None:
    assert digits.subject.folder is not None
    snapshots = read_snapshots(digits.subject.folder)
    first, second = draw_evolution(digits)
    assert (first.name, second.name) == ("evolution", "evolution-features.4")
    figure = first.draw()
    axes, curve = figure.axes
    found = _tiles(np.asarray(axes.images[0].get_array()), 6, 3, 5)
    largest = max(float(t["features.0"].abs().max()) for t in snapshots.values())
    for column, epoch in enumerate((0, 1, 2)):
        want = 0.5 + snapshots[epoch]["features.0"][:, 0].numpy() / (2 * largest)
        assert np.allclose(found[:, column, ..., 0], want, atol=1e-6)
        assert not np.allclose(found[:, column], found[:, column - 1], atol=1e-5)
    assert [t.get_text() for t in axes.get_xticklabels()] == ["0", "1", "2"]
    drawn = np.asarray(curve.lines[0].get_ydata()).tolist()
    steps = {e: t["features.0"] for e, t in snapshots.items()}
    assert drawn == pytest.approx(list(relative_changes(steps).values()))


def test_the_change_of_an_epoch_is_its_step_over_the_length() -> None:
    weights = {
        0: torch.tensor([3.0, 4.0]),
        1: torch.tensor([3.0, 4.0]),
        2: torch.tensor([0.0, 8.0]),
    }
    assert relative_changes(weights) == pytest.approx({1: 0.0, 2: 5 / 8})


@pytest.mark.parametrize("epochs", [2, 9, 10, 13, 41, 91])
def test_chosen_epochs_hold_the_first_and_the_last(epochs: int) -> None:
    chosen = chosen_epochs(list(range(epochs)))
    assert chosen == sorted(set(chosen))
    assert (chosen[0], chosen[-1]) == (0, epochs - 1)
    assert len(chosen) == min(9, epochs)


def test_a_run_without_snapshots_says_how_to_get_them(trained_run: Path) -> None:
    with pytest.raises(InputError, match="train it with --snapshots"):
        draw_evolution(_studio(trained_run))
