"""Filters go where they are sent, and keep nothing on another device."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgecnn.data import colour_crops
from edgecnn.filters import (
    FILTERS,
    Boundary,
    FilterBank,
    HaarFrame,
    HaarWavelet,
    build_filter,
    kernels,
)


def modules() -> dict[str, nn.Module]:
    """The named filters, and a bank for each boundary."""
    boundaries: tuple[Boundary, ...] = ("zero", "extension", "mirror", "periodical")
    banks = {b: FilterBank(kernels.sobel(), boundary=b) for b in boundaries}
    return {**{name: build_filter(name) for name in FILTERS}, **banks}


@pytest.mark.parametrize("name", modules())
def test_a_filter_computes_on_the_device_of_its_images(name: str) -> None:
    # A meta tensor has a shape and no values, and cannot be mixed with one of the CPU.
    out = modules()[name].to("meta")(torch.zeros(2, 3, 41, 52, device="meta"))
    expected = modules()[name](torch.zeros(2, 3, 41, 52))
    assert out.device.type == "meta"
    assert out.shape == expected.shape


@pytest.mark.gpu
@pytest.mark.parametrize("name", modules())
def test_a_gpu_gives_the_answers_of_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # its ten bits are not enough
    x = torch.from_numpy(colour_crops(1)[0][:97, :121]).permute(2, 0, 1)[None] / 255
    module = modules()[name]
    expected = module(x)
    torch.testing.assert_close(module.cuda()(x.cuda()).cpu(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("transform", [HaarWavelet(3), HaarFrame(3)])
def test_a_wavelet_computes_on_the_device_of_its_images(
    transform: HaarWavelet | HaarFrame,
) -> None:
    found = transform(torch.zeros(2, 3, 41, 52, device="meta"))
    assert {t.device.type for t in found.tensors()} == {"meta"}
    assert transform.synthesis(found).shape == (2, 3, 41, 52)
