"""Every network of the zoo can be looked into: nothing in it stops the way back."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from edgecnn.data import colour_crops
from edgecnn.models import ZOO, build
from edgecnn.models.registry import entry
from edgecnn.visualization.boxes import Fields
from edgecnn.visualization.deconvnet import project, strongest_places
from edgecnn.visualization.grad_cam import grad_cam
from edgecnn.visualization.maps import map_layers, recorded, spread


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_any_network_is_projected_and_asked_where_it_looks(name: str) -> None:
    row = entry(name)
    side = max(row.smallest, min(row.resolution, 96))
    frames = [torch.from_numpy(f).permute(2, 0, 1)[None] / 255 for f in colour_crops(2)]
    x = torch.cat([F.interpolate(f, (side, side), mode="area") for f in frames]) - 0.5
    x = x[:, : row.channels]
    torch.manual_seed(0)
    network = build(name, num_classes=5).eval()
    layers = map_layers(network, x[:1])
    fields = Fields.of(network, side, side)
    for layer in spread(list(layers), 3):
        assert layer in fields.columns  # the zoo's are all known
        with recorded(network, [layer]) as maps, torch.no_grad():
            network(x)
        channel = int(maps[layer].amax((0, 2, 3)).argmax())
        places = strongest_places(maps[layer][:, channel])
        for rule in ("deconv", "guided", "gradient"):
            back = project(network, x, layer, channel, places, rule=rule)  # type: ignore[arg-type]
            assert back.shape == x.shape
            assert back.isfinite().all()
        if any(key in name for key in ("senet", "seresnet", "mobilenet_v3")):
            continue  # gates see the whole image by the gradient
        gradient = project(network, x, layer, channel, places, rule="gradient")
        for n, (row_, column) in enumerate(places.tolist()):
            top, left, bottom, right = fields.box(layer, row_, column)
            outside = gradient[n].clone()
            outside[:, top:bottom, left:right] = 0
            assert not outside.any()
    found = grad_cam(network, x, list(layers)[-1], torch.tensor([1, 3]))
    assert found.shape == (2, *layers[list(layers)[-1]][1:])
    assert found.isfinite().all()
