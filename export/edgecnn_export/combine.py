"""Several MODELs, or several crops of the picture, as one model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from edgecnn.evaluation.crops import WITH_CORNERS, with_room
from edgecnn.models.ensemble import CROPS, Ensemble, Renormalised
from edgecnn_export.sources import Options, Source, open_source, torch_source
from edgecnn_runtime.errors import InputError, unknown_name
from edgecnn_runtime.manifest import Input


def open_sources(names: Sequence[str], options: Options, crops: str = "center") -> Source:
    """MODEL or several of them -> one model that can be exported.

    Args:
        names: each what `open_source` takes; the options hold for all of them.
        crops: one of `CROPS`.

    Raises:
        InputError: an unknown crop scheme, or a member that is no PyTorch network or does not fit
            the others.
    """
    if crops not in CROPS:
        raise unknown_name("crop scheme", crops, CROPS)
    if len(names) == 1 and crops == "center":
        return open_source(names[0], options)
    for name in names:
        if name.startswith("filter:") or name.endswith(".onnx"):
            raise InputError(
                f"{name} cannot be combined or cropped; expected PyTorch networks: runs, zoo names"
                " or torchvision:NAME"
            )
    if options.weights and len(names) > 1:
        raise InputError(f"--weights is a file for one MODEL, got {len(names)}: {', '.join(names)}")
    return combine([(name, open_source(name, options)) for name in names], crops)


def combine(
    members: Sequence[tuple[str, Source]],
    crops: str = "center",
    shares: Sequence[float] | None = None,
) -> Source:
    """Put trained networks together into an `Ensemble`.

    Args:
        members: what each is called in an error, and the network; the first one's input, with room
            for the crops, becomes the input of all.
        crops: one of `CROPS`.
        shares: of each member in the mean; equal by default.

    Raises:
        InputError: inputs or labels of two members differ, an input does not have the room that the
            crops need, or one is no PyTorch network.
    """
    first_name, first = members[0]
    for name, source in members[1:]:
        _check_inputs(first_name, first.spec, name, source.spec)
        _check_labels(first_name, first.labels, name, source.labels)
    sources = [source for _, source in members]
    spec = with_room(first.spec, crops) if crops in WITH_CORNERS else first.spec
    size = (first.spec.height, first.spec.width)
    network = Ensemble([_member(source, first.spec) for source in sources], size, crops, shares)
    depths = [source.model.depth for source in sources]
    return torch_source(
        network,
        spec,
        first.labels,
        name=_name(sources, crops),
        width=first.model.width if len(sources) == 1 else 1.0,
        depth=None if None in depths else max(d for d in depths if d),
        weights=_weights(sources),
        data=next((source.data for source in sources if source.data), None),
        # No metrics: those of the members are not its own.
        provenance=_provenance(members, crops, network.shares),
    )


def _check_inputs(first_name: str, first: Input, name: str, spec: Input) -> None:
    for field in Input.__struct_fields__:
        own, other = getattr(spec, field), getattr(first, field)
        if field not in ("mean", "std") and own != other:
            raise InputError(
                f"{name} has the input {field} {own!r}, {first_name} has {other!r}; the members of"
                " an ensemble see the same picture: only mean and std may differ"
            )


def _check_labels(
    first_name: str, first: tuple[str, ...], name: str, labels: tuple[str, ...]
) -> None:
    if labels == first:
        return
    both = zip(labels, first, strict=False)
    start = next((i for i, (a, b) in enumerate(both) if a != b), min(len(labels), len(first)))
    raise InputError(
        f"{name} has the labels {_some(labels, start)}, {first_name} has {_some(first, start)};"
        " expected the same in the same order"
    )


def _some(labels: tuple[str, ...], start: int) -> str:
    """Five labels, the first that differs among them."""
    start = 0 if len(labels) <= 5 else start
    shown = ", ".join(labels[start : start + 5])
    return f"{'... ' if start else ''}{shown} ({len(labels)} in all)"


def _member(source: Source, first: Input) -> nn.Module:
    if source.network is None:
        raise InputError(f"{source.model.name} is no PyTorch network, which a member has to be")
    own, given = (source.spec.mean, source.spec.std), (first.mean, first.std)
    return source.network if own == given else Renormalised(source.network, given, own)


def _name(sources: Sequence[Source], crops: str) -> str:
    names = [s.model.name + (f" {s.model.width:g}" * (s.model.width != 1)) for s in sources]
    name = f"ensemble of {len(names)}: {', '.join(names)}" if len(names) > 1 else names[0]
    return name if crops == "center" else f"{name}, {CROPS[crops]} crops"


def _weights(sources: Sequence[Source]) -> str:
    """One member of chance is enough to make the answers mean nothing."""
    kinds = list(dict.fromkeys(source.weights for source in sources))
    if "random" in kinds:
        return "random"
    if kinds == ["trained"]:
        return "trained"
    return "pretrained " + " + ".join(kind.removeprefix("pretrained ") for kind in kinds)


def _provenance(
    members: Sequence[tuple[str, Source]], crops: str, shares: tuple[float, ...]
) -> dict[str, Any]:
    """What each member is; and which split they all held out, or that there is none."""
    splits = {n: (s.data, s.provenance.get("seed")) for n, s in members if s.data is not None}
    known: dict[str, Any] = {}
    if len(set(splits.values())) == 1:
        data, seed = next(iter(splits.values()))
        known = {"data": data, "seed": seed}
    elif splits:
        told = "; ".join(f"{n}: {data}, seed {seed}" for n, (data, seed) in splits.items())
        known["warning"] = (
            f"its members were trained on different splits ({told}); what one held out another may"
            " have learned: measure it on other images"
        )
    described = [
        {
            **source.provenance,
            "model": source.model.name,
            "width": source.model.width,
            "weights": source.weights,
            "share": share,
        }
        for (_, source), share in zip(members, shares, strict=True)
    ]
    return {**known, "crops": crops, "members": described}
