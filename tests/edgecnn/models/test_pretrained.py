"""Published networks and ours give the same answers with the same weights."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from edgecnn.models import ZOO, build
from edgecnn.models.layers import random_statistics
from edgecnn.models.pretrained import REFERENCES, load_reference
from edgecnn_runtime.errors import InputError

QUICK = ("googlenet_bn", "resnet18", "mobilenet_v1", "mobilenet_v2", "squeezenet1_1")
CASES = [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in REFERENCES]


def reference_network(name: str) -> nn.Module:
    """The reference with random weights, and batch-norm statistics that matter."""
    reference = REFERENCES[name]
    torch.manual_seed(0)
    network: nn.Module
    if reference.library == "torchvision":
        from torchvision import models

        heads = reference.name in ("googlenet", "inception_v3")
        options = {"aux_logits": True, "init_weights": False} if heads else {}
        network = models.get_model(reference.name, weights=None, **options)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own dependencies
            timm = pytest.importorskip("timm")
        network = timm.create_model(reference.name)
    side = max(64, ZOO[name].smallest + 5)
    random_statistics(network, (3, side, side))
    return network.eval()


@pytest.mark.parametrize("name", CASES)
def test_the_answers_are_those_of_the_reference(name: str) -> None:
    reference = reference_network(name)
    state = reference.state_dict()
    ours = build(name)
    shuffled = dict(sorted(state.items()))  # as safetensors has it
    assert load_reference(ours, name, shuffled) == ()
    x = torch.randn(2, 3, *(max(64, ZOO[name].smallest + 5),) * 2)
    with torch.no_grad():
        expected, found = reference(x), ours.eval()(x)
    assert expected.std() > 0
    apart = (found - expected).abs().max() / expected.abs().max()
    assert apart < 1e-5


def test_another_number_of_classes_keeps_its_own_last_layers() -> None:
    state = reference_network("googlenet_bn").state_dict()
    ours = build("googlenet_bn", num_classes=3)
    own = ours.get_submodule("classifier.1").weight.clone()  # type: ignore[operator]
    kept = load_reference(ours, "googlenet_bn", state)
    last = ("classifier.1", "heads.4a.6", "heads.4d.6")
    assert set(kept) == {f"{layer}.{leaf}" for layer in last for leaf in ("weight", "bias")}
    assert torch.equal(ours.get_submodule("classifier.1").weight, own)  # type: ignore[arg-type]
    first = next(ours.get_submodule("features").parameters())
    assert torch.equal(first, state["conv1.conv.weight"])


def test_densenets_published_files_have_other_names() -> None:
    state = reference_network("densenet121").state_dict()
    old = {}
    for key, tensor in state.items():
        for part in ("norm1", "conv1", "norm2", "conv2"):
            if "denselayer" in key:
                key = key.replace(f".{part}.", f".{part[:-1]}.{part[-1]}.")  # noqa: PLW2901
        old[key] = tensor
    assert old.keys() != state.keys()
    one, other = build("densenet121"), build("densenet121")
    load_reference(one, "densenet121", state)
    load_reference(other, "densenet121", old)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_weights_of_another_network_are_refused() -> None:
    with torch.device("meta"):
        resnet, grey = build("resnet18"), build("squeezenet1_1", in_channels=1)
        state = reference_network("squeezenet1_1").state_dict()
    with pytest.raises(InputError, match="the weights hold 'features', which torchvision's resnet"):
        load_reference(resnet, "resnet18", state)
    with pytest.raises(InputError, match="expected the same width and input channels"):
        load_reference(grey, "squeezenet1_1", state)
    with pytest.raises(InputError, match="unknown model with published weights 'lenet5'"):
        load_reference(resnet, "lenet5", state)
