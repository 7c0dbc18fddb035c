"""The row of boxes shows the volumes of the network, and can be read."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from edgecnn.models import ZOO, build
from edgecnn.models.volumes import Volume, volumes
from edgecnn.visualization.volumes import TIMES, draw_volumes

Clashes = Callable[[Figure], list[tuple[str, str]]]


@cache
def volumes_of(name: str) -> tuple[Volume, ...]:
    with torch.device("meta"):
        network = build(name)
    return volumes(network, (ZOO[name].channels, ZOO[name].resolution, ZOO[name].resolution))


def words_of(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.axes[0].texts]


@pytest.mark.parametrize(
    "name", ["lenet5", "alexnet_two_tower", "vgg16", "squeezenet1_1", "densenet121"]
)
def test_no_words_lie_on_others_or_on_a_box(name: str, clashes: Clashes) -> None:
    assert clashes(draw_volumes(volumes_of(name), title=name)) == []


def test_every_volume_has_its_shape_and_what_gives_it() -> None:
    words = words_of(draw_volumes(volumes_of("resnet50"), title="resnet50"))
    for shape in ("3x224x224", "64x112x112", "256x56x56", "512x28x28", "1024x14x14", "2048x7x7"):
        assert words.count(shape) == 1
    assert {"2048", "1000", "conv 7x7/2", f"6 {TIMES} residual", "19 layers"} <= {*words}
    assert "59%" in words  # of the parameters are in the fourth stage


def test_a_box_has_three_faces_and_grows_with_the_map_and_its_channels() -> None:
    shapes = [(3, 64, 64), (3, 16, 16), (48, 16, 16)]
    drawn = [Volume(shape, "conv", "conv 3x3") for shape in shapes]
    patches = draw_volumes(drawn, title="three").axes[0].patches
    faces = [p.get_xy() for p in patches if isinstance(p, Polygon)]
    assert len(faces) == 9
    high = [front[:, 1].max() - front[:, 1].min() for front in faces[::3]]
    thick = [front[:, 0].max() - front[:, 0].min() for front in faces[::3]]
    assert high[0] == pytest.approx(2 * high[1])  # the square root of four times the side
    assert high[1] == pytest.approx(high[2])
    assert thick[0] == pytest.approx(thick[1])
    assert thick[2] > thick[1]


def test_a_vector_is_a_bar_thinner_than_any_map() -> None:
    drawn = [Volume((3, 8, 8), "input", "input"), Volume((1000,), "linear", "linear")]
    patches = draw_volumes(drawn, title="").axes[0].patches
    faces = [p.get_xy() for p in patches if isinstance(p, Polygon)]
    extents = [
        max(f[:, 0].max() for f in box) - box[0][:, 0].min() for box in (faces[:3], faces[3:])
    ]
    assert extents[1] < extents[0] / 2


def test_the_shares_of_a_row_come_to_all_of_it() -> None:
    figure = draw_volumes(volumes_of("vgg16"), title="vgg16")
    shares = [int(word[:-1]) for word in words_of(figure) if word.endswith("%")]
    assert sum(shares) == pytest.approx(200, abs=6)  # two rows, each rounded
    assert max(shares) == 74  # parameters of the first fully connected layer
