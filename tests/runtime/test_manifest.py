from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgecnn_runtime import manifest as schema
from edgecnn_runtime.manifest import Input


@pytest.fixture
def written(bundle: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((bundle / "manifest.json").read_text())
    return loaded


def decode(written: dict[str, Any]) -> schema.Manifest:
    return schema.decode(json.dumps(written).encode())


def test_a_manifest_survives_writing_and_reading(written: dict[str, Any]) -> None:
    manifest = decode(written)
    assert schema.decode(schema.encode(manifest)) == manifest


def test_a_newer_schema_is_refused_and_says_to_upgrade(written: dict[str, Any]) -> None:
    written["schema_version"] = schema.SCHEMA_VERSION + 1
    with pytest.raises(ValueError, match="upgrade edgecnn"):
        decode(written)


@pytest.mark.parametrize("path", ["../x.onnx", "/etc/passwd", "a/../../x", "a b"])
def test_a_path_that_leaves_the_bundle_is_refused(written: dict[str, Any], path: str) -> None:
    written["artifacts"][0]["file"] = path
    with pytest.raises(ValueError, match="file"):
        decode(written)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("color", "gray"),
        ("mean", [0.5]),
        ("std", [1.0, 0.0, 1.0]),
        ("crop", None),
        ("crop", [16, 16]),
        ("height", 0),
        ("resize", "squeeze"),
        ("normalise", True),
    ],
)
def test_an_input_that_contradicts_itself_is_refused(
    written: dict[str, Any], field: str, value: object
) -> None:
    written["input"][field] = value
    with pytest.raises(ValueError, match=r"."):
        decode(written)


def test_labels_and_artifacts_cannot_be_empty(written: dict[str, Any]) -> None:
    for field in ("labels", "artifacts"):
        with pytest.raises(ValueError, match=field):
            decode({**written, field: []})


def test_random_weights_are_known_as_such(written: dict[str, Any]) -> None:
    assert not decode(written).is_random
    assert decode({**written, "weights": "random"}).is_random


def test_pad_takes_a_cut_that_fits_and_no_other() -> None:
    base: dict[str, Any] = {"height": 32, "width": 32, "channels": 1, "color": "gray"}
    scale: dict[str, Any] = {"mean": (0.0,), "std": (1.0,), "resize": "pad", "shorter_side": 28}
    assert Input(**base, **scale, crop=(28, 28)).crop == (28, 28)
    with pytest.raises(ValueError, match="does not fit"):
        Input(**base, **scale, crop=(33, 28))
