from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgecnn_runtime.bundle import open_bundle, read_golden, write_manifest
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import BundleError


def test_golden_frames_come_back_and_the_engine_agrees_with_them(
    bundle: Path, classify: Classifier, photographs: dict[str, np.ndarray]
) -> None:
    golden = read_golden(open_bundle(bundle))
    for frame, original in zip(golden.frames, photographs.values(), strict=True):
        assert (frame == original).all()
    np.testing.assert_allclose(classify.infer(golden.inputs), golden.probabilities, atol=1e-5)
    np.testing.assert_allclose(
        classify.probabilities(golden.frames), golden.probabilities, atol=1e-5
    )


def test_a_bundle_without_golden_frames_says_so(bundle: Path, tmp_path: Path) -> None:
    mine = open_bundle(shutil.copytree(bundle, tmp_path / "mine.bundle"))
    write_manifest(mine.path, msgspec.structs.replace(mine.manifest, golden=None))
    with pytest.raises(BundleError, match="no golden frames"):
        read_golden(open_bundle(mine.path))
