from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn_runtime import installed
from edgecnn_runtime.backends.ort import open_ort
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import BackendError, BundleError, InputError


def test_a_provider_that_this_build_lacks_says_what_to_install(bundle: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(BackendError, match=r"pip install 'edgecnn\[gpu\]'"):
        Classifier.open(bundle, backend="onnxruntime-cuda")


def test_an_unknown_backend_is_answered_with_the_nearest(bundle: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'onnxruntime'"):
        Classifier.open(bundle, backend="onnxruntim")


def test_a_file_that_is_no_graph_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"not a graph")
    with pytest.raises(BundleError, match="cannot be loaded") as caught:
        open_ort(tmp_path / "x.onnx")
    assert "\n" not in str(caught.value)


def test_both_onnx_runtimes_installed_is_said_at_the_first_opening(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(installed, "version", lambda package: "1.0")
    with Classifier.open(bundle):
        assert "pip uninstall -y onnxruntime onnxruntime-gpu" in caplog.text
