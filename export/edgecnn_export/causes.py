"""Why a bundle does not answer as on the workstation: as close to the cause as can be told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, get_args

import msgspec
import numpy as np

from edgecnn_export.agreement import Frame
from edgecnn_export.outputs import Outputs
from edgecnn_runtime.manifest import Input, Interpolation, Manifest
from edgecnn_runtime.preprocess import preprocess

LEVELS = 1  # another version of OpenCV may round differently; two would be another filter
NEARBY = range(-4, 5)  # pixels that a side or a crop may be wrong by, to be recognised


def other_preprocessing(spec: Input, frames: Sequence[Frame], inputs: Frame) -> str:
    """How this machine's preprocessing differs from the workstation's, and why.

    Args:
        frames: raw BGR frames.
        inputs: (N, H, W, C), what the workstation made of them.

    Returns:
        A few words; empty where they are equal to a grey level.
    """
    found = [preprocess(frame, spec) for frame in frames]
    if found[0].shape != inputs.shape[1:]:
        mine, theirs = ("x".join(map(str, shape)) for shape in (found[0].shape, inputs.shape[1:]))
        return f"frames become {mine} here and became {theirs} on the workstation"
    pairs = list(zip(found, inputs, strict=True))
    apart = [_apart(mine, theirs) for mine, theirs in pairs]
    worst = int(np.argmax(apart))
    if apart[worst] <= LEVELS:
        return ""
    why = (
        _one_setting(spec, frames, inputs)
        or _moved(pair for pair, levels in zip(pairs, apart, strict=True) if levels > LEVELS)
        or "the manifest was altered, or install the OpenCV and Pillow that edgecnn asks for"
    )
    return f"frame {worst} by {apart[worst]} of 255 levels, expected at most {LEVELS}; {why}"


def _apart(one: Frame, other: Frame) -> int:
    return int(np.abs(one.astype(np.int16) - other).max(initial=0))


def _one_setting(spec: Input, frames: Sequence[Frame], inputs: Frame) -> str:
    """The one setting of the manifest with whose other value all would be equal."""
    for name, value in _other_settings(spec):
        other = msgspec.structs.replace(spec, **{name: value})
        pairs = zip(frames, inputs, strict=True)
        if all(_apart(preprocess(frame, other), theirs) <= LEVELS for frame, theirs in pairs):
            said, would = (json.dumps(v) for v in (getattr(spec, name), value))
            return f"they would be equal with {name} {would}, where the manifest says {said}"
    return ""


def _other_settings(spec: Input) -> Iterator[tuple[str, Any]]:
    if spec.channels == 3:
        yield "color", "bgr" if spec.color == "rgb" else "rgb"
    yield "invert", not spec.invert
    yield from (("interpolation", v) for v in get_args(Interpolation) if v != spec.interpolation)
    yield from (("border", v) for v in (0, 114, 127, 128, 255) if v != spec.border)
    if spec.shorter_side and spec.crop:
        least = min(spec.crop)
        yield from (("shorter_side", max(least, spec.shorter_side + n)) for n in NEARBY if n)
        if spec.resize == "pad":
            sides = (tuple(side + n for side in spec.crop) for n in NEARBY if n)
            fit = (s for s in sides if min(s) > 0 and s[0] <= spec.height and s[1] <= spec.width)
            yield from (("crop", side) for side in fit)


def _moved(pairs: Iterable[tuple[Frame, Frame]]) -> str:
    """Whether each pair is the same picture, moved by a pixel."""
    if all(_is_moved(mine, theirs) for mine, theirs in pairs):
        return "they are the same pictures, cut a pixel off"
    return ""


def _is_moved(mine: Frame, theirs: Frame) -> bool:
    height, width = theirs.shape[:2]
    middle = theirs[1:-1, 1:-1]
    return any(
        _apart(mine[down : height - 2 + down, right : width - 2 + right], middle) <= LEVELS
        for down, right in product(range(3), repeat=2)
    )


def other_metadata(manifest: Manifest, metadata: Mapping[str, str]) -> str:
    """What a graph says of itself and the manifest says otherwise; empty where they agree.

    C++ programs read the graph's own metadata, so that a difference is a mistake in either case.
    """
    try:
        own = json.loads(metadata.get("edgecnn.input", "{}"))
        labels = json.loads(metadata.get("edgecnn.labels", "[]"))
    except ValueError:
        return "its metadata is not JSON"
    said = msgspec.to_builtins(manifest.input)
    for name, value in own.items():
        if name in said and json.loads(json.dumps(said[name])) != value:
            return f"it was made for {name} {json.dumps(value)}, the manifest says {said[name]}"
    if labels and tuple(labels) != manifest.labels:
        pairs = zip(labels, manifest.labels, strict=False)
        shorter = min(len(labels), len(manifest.labels))
        first = next((i for i, (a, b) in enumerate(pairs) if a != b), shorter)
        return f"it was made with other labels than the manifest's, from class {first} on"
    return ""


def exchanged(
    run: Callable[[Frame], Outputs],
    inputs: Frame,
    holds: Callable[[Outputs], bool],
) -> str:
    """Whether a graph answers right once channels, or dark and light, are exchanged."""
    ways = {"red and blue": inputs[..., ::-1], "dark and light": 255 - inputs}
    for what, other in ways.items():
        if holds(run(np.ascontiguousarray(other))):
            return f"it answers right with {what} exchanged"
    return ""
