"""The named filters: what they take, their settings, and what a person reads when one is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgecnn.data import colour_crops
from edgecnn.filters import FILTERS, build_filter, kernels, named_filter, parse_settings
from edgecnn_runtime.errors import InputError


@pytest.mark.parametrize("name", FILTERS)
def test_a_named_filter_takes_a_batch_of_any_size(name: str) -> None:
    channels = 3 if FILTERS[name].color == "bgr" else 1
    module = build_filter(name)
    frames = [frame[20:111, :90, :channels] for frame in colour_crops(3)]
    x = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2) / 255
    out = module(x)
    assert out.shape[:2] == (3, channels)
    assert out.dtype == torch.float32
    torch.testing.assert_close(module(x[1:2]), out[1:2])
    channels_last = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(module(channels_last), out)
    low, high = FILTERS[name].black, FILTERS[name].white
    shown = (out >= low - 1e-5) & (out <= high + 1e-5)
    assert shown.float().mean() > 0.9  # the picture shows a photograph's response
    assert list(module.parameters()) == []


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 2), (9, 9)])
def test_a_named_filter_takes_an_image_of_a_few_pixels(name: str, size: tuple[int, int]) -> None:
    x = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    out = build_filter(name)(x)
    assert 0 not in out.shape
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("name", FILTERS)
def test_a_named_filter_computes_in_the_precision_that_it_is_given(name: str) -> None:
    frame = colour_crops(1)[0][:61, :83]
    x = torch.from_numpy(frame).permute(2, 0, 1)[None] / 255
    double = build_filter(name).double()(x.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(build_filter(name)(x).double(), double, atol=1e-5, rtol=1e-5)


def test_signed_filters_show_no_response_as_a_grey_level_and_not_between_two() -> None:
    for name in ("laplacian", "prewitt_vertical", "sobel_horizontal", "gabor_oriented"):
        row = FILTERS[name]
        level = -row.black * 255 / (row.white - row.black)
        assert level == pytest.approx(128)
        assert row.build()(torch.full((1, 1, 40, 40), 0.8)).abs().max() < 1e-5


def test_the_filters_of_one_direction_are_the_two_that_edges_pool() -> None:
    x = torch.rand(1, 1, 20, 30, generator=torch.Generator().manual_seed(0))
    for name in ("prewitt", "sobel"):
        parts = [build_filter(f"{name}_{way}")(x) for way in ("vertical", "horizontal")]
        torch.testing.assert_close(build_filter(name)(x), torch.hypot(*parts))
    step = torch.zeros(1, 1, 8, 8)
    step[..., 4:] = 1  # a vertical edge, brighter at the right
    assert build_filter("sobel_vertical")(step).max() == 4
    assert build_filter("sobel_horizontal")(step).abs().max() == 0


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0])
def test_a_gabor_answers_a_wave_with_its_amplitude_whatever_its_tau(angle: float) -> None:
    k, right = torch.meshgrid(torch.arange(90), torch.arange(90), indexing="ij")
    theta = math.radians(angle)
    phase = 2 * math.pi * 0.15 * (k * math.cos(theta) + right * math.sin(theta))
    wave = 0.5 + 0.1 * torch.cos(phase)[None, None]
    for tau in (3.0, 6.0):
        response = build_filter("gabor_oriented", angle=angle, tau=tau)(wave)[..., 20:-20, 20:-20]
        assert response.max().item() == pytest.approx(0.1, rel=0.05)
        largest = build_filter("gabor", directions=6, tau=tau)(wave)[..., 20:-20, 20:-20]
        assert largest.max().item() == pytest.approx(0.1, rel=0.05)


def test_a_setting_changes_the_filter_and_what_is_said_of_it() -> None:
    x = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    wide = build_filter("gaussian", tau=5)(x)
    row = kernels.gaussian_row(5.0)
    assert wide.std() < build_filter("gaussian")(x).std()
    middle = (x[..., 20 - 15 : 21 + 15, 20 - 15 : 21 + 15] * torch.outer(row, row)).sum((2, 3))
    torch.testing.assert_close(wide[..., 20, 20], middle)
    assert named_filter("gaussian").describe(tau=5) == "Gaussian of 5 pixels"
    assert build_filter("haar_frame", level=3)(x).shape == (1, 3, 80, 80)


def test_settings_are_read_from_a_command_line() -> None:
    assert parse_settings(["tau=5", " frequency = .2", "directions=4"]) == {
        "tau": 5.0,
        "frequency": 0.2,
        "directions": 4.0,
    }
    for text in ("tau", "tau=", "tau=five", "=", "tau=5=6"):
        with pytest.raises(InputError, match="expected a number, such as tau=5"):
            parse_settings([text])


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("gaussian", {"tua": 5}, "unknown setting 'tua'; did you mean 'tau'"),
        ("sobel", {"tau": 5}, "unknown setting 'tau'; this filter has none"),
        ("haar", {"levels": 2.5}, "levels=2.5; expected a whole number, such as 3"),
        ("haar", {"levels": 11}, "11 levels; expected 1 to 10"),
        ("gaussian", {"tau": math.inf}, "tau=inf; expected a number"),
        ("boxcar_strided", {"stride": 0}, "a stride of 0"),
        ("denoise", {"noise": -1}, "expected 0 or more"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    name: str, settings: dict[str, float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build_filter(name, **settings)


def test_an_unknown_filter_is_answered_with_the_nearest_or_with_all() -> None:
    with pytest.raises(InputError, match="did you mean 'sobel'"):
        build_filter("sobell")
    with pytest.raises(InputError) as error:
        build_filter("wiener")
    assert ", ".join(FILTERS) in str(error.value)
    assert "edgecnn models filter:" in str(error.value)
