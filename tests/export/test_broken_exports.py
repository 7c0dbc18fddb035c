"""A bundle that was made wrongly is found on the device, and the cause named as far as it shows.

Each is what a mistake in an exporter leaves behind: hashes that are right, and a golden.npz of the
training path. All are caught with the golden frames alone, and with DATA too, where the first
artifact alone would be believed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from torch import nn

from edgecnn.training.run import load_network, read_run
from edgecnn_export.to_onnx import to_onnx
from edgecnn_runtime import preprocess as device
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.cli import run as run_cli
from edgecnn_runtime.manifest import Input

OneLine = Callable[..., str]
Rewrite = Callable[..., None]
DATA = [(), ("terrain",)]


class Exchanged(nn.Module):
    """A network that takes the channels the other way round."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.network(x.flip(1))
        return out


def without_batch_norm(network: nn.Module) -> nn.Module:
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            network.set_submodule(name, nn.Identity())
    return network


@pytest.fixture
def graph(trained_run: Path) -> Callable[..., bytes]:
    """The run's graph, made by an exporter with a mistake and metadata that does not show it."""

    def make(
        broken: Callable[[nn.Module], nn.Module] = lambda network: network,
        *,
        honest: bool = False,
        **fields: object,
    ) -> bytes:
        run = read_run(trained_run)
        spec = msgspec.structs.replace(run.input, **fields)
        made = to_onnx(broken(load_network(trained_run, run)), spec, run.labels)
        if honest:
            return made.SerializeToString()
        for entry in made.metadata_props:
            if entry.key == "edgecnn.input":
                entry.value = msgspec.json.encode(run.input).decode()
        return made.SerializeToString()

    return make


@pytest.mark.parametrize("data", DATA)
def test_the_same_graph_made_anew_is_no_mistake(
    graph: Callable[..., bytes], copy: Path, rewrite: Rewrite, data: tuple[str, ...]
) -> None:
    rewrite(copy, {"model.fp32.onnx": graph()})
    assert run_cli(["verify", str(copy), *data]) == 0


@pytest.mark.parametrize("data", DATA)
def test_a_wrong_mean(
    graph: Callable[..., bytes],
    copy: Path,
    rewrite: Rewrite,
    refused: OneLine,
    data: tuple[str, ...],
) -> None:
    rewrite(copy, {"model.fp32.onnx": graph(mean=(0.5, 0.5, 0.5))})
    line = refused("verify", copy, *data, status=1)
    assert "model.fp32.onnx: other answers than expected" in line
    rewrite(copy, {"model.fp32.onnx": graph(mean=(0.5, 0.5, 0.5), honest=True)})
    line = refused("verify", copy, *data, status=1)
    assert "it was made for mean [0.5, 0.5, 0.5], the manifest says" in line


@pytest.mark.parametrize("data", DATA)
def test_channels_exchanged_in_the_graph(
    graph: Callable[..., bytes],
    copy: Path,
    rewrite: Rewrite,
    refused: OneLine,
    data: tuple[str, ...],
) -> None:
    spec = open_bundle(copy).manifest.input
    made = graph(Exchanged, mean=spec.mean[::-1], std=spec.std[::-1])
    rewrite(copy, {"model.fp32.onnx": made})
    line = refused("verify", copy, *data, status=1)
    assert "it answers right with red and blue exchanged" in line


@pytest.mark.parametrize("data", DATA)
def test_batch_norm_dropped(
    graph: Callable[..., bytes],
    copy: Path,
    rewrite: Rewrite,
    refused: OneLine,
    data: tuple[str, ...],
) -> None:
    rewrite(copy, {"model.fp32.onnx": graph(without_batch_norm)})
    line = refused("verify", copy, *data, status=1)
    assert "model.fp32.onnx: other answers than expected: top-1 agreement is" in line


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"color": "bgr"}, 'with color "rgb", where the manifest says "bgr"'),
        ({"shorter_side": 49}, "with shorter_side 48, where the manifest says 49"),
        (
            {"interpolation": "bilinear-antialias"},
            'with interpolation "area+linear", where the manifest says "bilinear-antialias"',
        ),
        ({"invert": True}, "with invert false, where the manifest says true"),
    ],
)
def test_a_manifest_with_exchanged_channels_a_crop_that_is_off_by_one_or_another_filter(
    fields: dict[str, object],
    cause: str,
    copy: Path,
    rewrite: Rewrite,
    refused: OneLine,
    data: tuple[str, ...],
) -> None:
    rewrite(copy, **fields)
    line = refused("verify", copy, *data, status=1)
    assert "preprocessing differs from the workstation's: frame " in line
    assert cause in line


def test_a_manifest_that_is_wrong_in_two_settings(
    copy: Path, rewrite: Rewrite, refused: OneLine
) -> None:
    rewrite(copy, color="bgr", interpolation="bicubic-antialias")
    line = refused("verify", copy, status=1)
    assert "preprocessing differs from the workstation's: frame " in line
    assert 'it was made for color "rgb"' in line


def test_a_manifest_of_another_size(copy: Path, rewrite: Rewrite, refused: OneLine) -> None:
    rewrite(copy, height=47, width=47, crop=(47, 47))
    assert "takes (48, 48, 3), the manifest says (47, 47, 3)" in refused("verify", copy)


@pytest.mark.parametrize("data", DATA)
def test_a_device_whose_crop_is_off_by_one(
    copy: Path, refused: OneLine, monkeypatch: pytest.MonkeyPatch, data: tuple[str, ...]
) -> None:
    plan = device._plan

    def off_by_one(spec: Input, height: int, width: int) -> device._Plan:
        right = plan(spec, height, width)
        top, left, *size = right.cut
        return right._replace(cut=(max(0, top - 1), max(0, left - 1), *size))

    monkeypatch.setattr(device, "_plan", off_by_one)
    line = refused("verify", copy, *data, status=1)
    assert "preprocessing differs from the workstation's: frame " in line
    assert "they are the same pictures, cut a pixel off" in line


def test_labels_in_another_order(copy: Path, refused: OneLine) -> None:
    manifest = copy / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"brick"', '"x"').replace('"grass"', '"brick"'))
    line = refused("verify", copy, status=1)
    assert "it was made with other labels than the manifest's, from class 0 on" in line
