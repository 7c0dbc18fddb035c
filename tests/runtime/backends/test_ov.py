"""OpenVINO itself on real graphs; what stands below `needs_openvino` skips where it is absent."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edgecnn_runtime.backends import open_backend, shares_cores
from edgecnn_runtime.backends.ort import open_ort
from edgecnn_runtime.backends.ov import OvBackend, open_ov, opening
from edgecnn_runtime.bundle import open_bundle, read_golden
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import BackendError, BundleError, NoKernelError
from edgecnn_runtime.image_filter import ImageFilter
from edgecnn_runtime.machine.access import Machine

try:
    import openvino  # noqa: F401
except ImportError:
    HAS_OPENVINO = False
else:
    HAS_OPENVINO = True

needs_openvino = pytest.mark.skipif(
    not HAS_OPENVINO, reason="OpenVINO is not installed: pip install 'edgecnn[openvino]'"
)
GRAPH = "model.fp32.onnx"
Frames = NDArray[np.uint8]


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """A bundle in which things may be kept."""
    return Path(shutil.copytree(bundle, tmp_path / "copy.bundle"))


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without OpenVINO."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    opening.load.cache_clear()
    yield
    opening.load.cache_clear()


def kept(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_where_it_is_missing_the_extra_is_named(
    absent: None, bundle: Path, refused: Callable[..., str]
) -> None:
    said = refused("profile", bundle, "--backend", "openvino", "--frames", "5")
    assert "pip install 'edgecnn[openvino]'" in said


def test_where_it_is_missing_nothing_is_run_in_its_place(absent: None, bundle: Path) -> None:
    with pytest.raises(BackendError, match="not installed"):
        Classifier.open(bundle, backend="openvino")


@pytest.mark.parametrize(
    ("flags", "precision", "as_written"),
    [
        ("fpu avx2 avx512f", "int8", True),
        ("fpu avx2 avx512f", None, True),
        ("fpu avx2 avx512f", "int8-cpu", False),
        ("fpu avx512f avx512_vnni", "int8", False),
        ("fpu avx2 avx_vnni", "int8", False),
    ],
)
def test_int8_is_computed_as_written_where_the_cpu_would_saturate(
    flags: str, precision: str | None, as_written: bool, tmp_path: Path
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(f"model name\t: a CPU\nflags\t\t: {flags}\n")
    machine = Machine(root=tmp_path, architecture="x86_64")
    settings = opening.settings_for(precision, machine)
    assert ("LP_TRANSFORMS_MODE" in settings) is as_written
    assert settings["INFERENCE_PRECISION_HINT"] == "f32"


def test_an_arm_cpu_adds_8_bit_products_in_32_bits(tmp_path: Path) -> None:
    machine = Machine(root=tmp_path, architecture="aarch64")
    assert "LP_TRANSFORMS_MODE" not in opening.settings_for("int8", machine)


@needs_openvino
@pytest.mark.parametrize("count", [1, 3, 4])
def test_any_batch_gives_the_workstations_answers(bundle: Path, count: int) -> None:
    golden = read_golden(open_bundle(bundle))
    backend = open_ov(bundle / GRAPH)
    answers = backend.infer(golden.inputs[:count])
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, golden.probabilities[:count], atol=1e-4)


@needs_openvino
def test_a_classifier_names_it_and_tells_that_it_shares_the_cores(
    copy: Path, photographs: dict[str, Frames]
) -> None:
    with Classifier.open(copy, backend="openvino") as classify, Classifier.open(copy) as usual:
        assert classify.backend.name == "openvino"
        assert shares_cores(classify.backend)
        for frame in photographs.values():
            assert classify(frame)[0].label == usual(frame)[0].label


@needs_openvino
def test_answers_are_the_callers_own(bundle: Path) -> None:
    inputs = read_golden(open_bundle(bundle)).inputs
    backend = open_ov(bundle / GRAPH)
    first = backend.infer(inputs[:1])
    before = first.copy()
    backend.infer(inputs[1:2])
    assert np.array_equal(first, before)


@needs_openvino
def test_frames_that_do_not_lie_in_a_row_are_taken(bundle: Path) -> None:
    golden = read_golden(open_bundle(bundle))
    mirrored = np.ascontiguousarray(golden.inputs[:, :, ::-1])[:, :, ::-1]
    assert not mirrored.flags.c_contiguous
    backend = open_ov(bundle / GRAPH)
    for count in (1, 3):
        answers = backend.infer(mirrored[:count])
        np.testing.assert_allclose(answers, golden.probabilities[:count], atol=1e-4)


@needs_openvino
def test_threads_that_call_at_once_get_their_own_answers(bundle: Path) -> None:
    golden = read_golden(open_bundle(bundle))
    backend = open_ov(bundle / GRAPH)
    numbers = list(range(len(golden.inputs))) * 25
    with ThreadPoolExecutor(max_workers=4) as pool:
        answers = list(pool.map(lambda i: backend.infer(golden.inputs[i : i + 1])[0], numbers))
    np.testing.assert_allclose(np.stack(answers), golden.probabilities[numbers], atol=1e-4)


@needs_openvino
def test_a_filter_takes_frames_of_any_size(
    filter_bundle: Path, photographs: dict[str, Frames]
) -> None:
    manifest = open_bundle(filter_bundle).image_filter()
    show = ImageFilter(manifest, open_ov(filter_bundle / GRAPH))
    usual = ImageFilter(manifest, open_ort(filter_bundle / GRAPH, "onnxruntime"))
    for frame in photographs.values():
        assert np.array_equal(show(frame), usual(frame))


@needs_openvino
def test_a_batch_that_is_fixed_at_one_is_run_frame_by_frame(bundle: Path, tmp_path: Path) -> None:
    graph = onnx.load(bundle / GRAPH)
    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(graph, tmp_path / GRAPH)
    golden = read_golden(open_bundle(bundle))
    answers = open_ov(tmp_path / GRAPH).infer(golden.inputs)
    np.testing.assert_allclose(answers, golden.probabilities, atol=1e-4)


@needs_openvino
def test_every_output_is_told_by_its_name(bundle: Path, tmp_path: Path) -> None:
    graph = onnx.load(bundle / GRAPH)
    graph.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3]))
    graph.metadata_props.add(key="edgecnn.labels", value='["red"]')
    onnx.save(graph, tmp_path / GRAPH)
    golden = read_golden(open_bundle(bundle))
    backend = open_ov(tmp_path / GRAPH)
    named = backend.infer_all(golden.inputs)
    assert list(named) == ["probabilities", "logits"]
    means = golden.inputs.mean(axis=(1, 2)) / 8
    np.testing.assert_allclose(named["logits"], means, rtol=1e-4)
    assert backend.metadata == {"edgecnn.labels": '["red"]'}


@needs_openvino
def test_the_threads_are_as_many_as_were_asked_for(bundle: Path) -> None:
    def threads(backend: OvBackend) -> int:
        compiled = backend._single.get_compiled_model()
        return int(compiled.get_property("INFERENCE_NUM_THREADS"))

    assert [threads(open_ov(bundle / GRAPH, threads=n)) for n in (1, 2)] == [1, 2]


@needs_openvino
def test_what_was_compiled_is_kept_in_the_bundle_and_taken_at_the_next_start(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = read_golden(open_bundle(copy))
    open_backend(open_bundle(copy), "openvino").close()
    files = kept(copy / "engines")
    assert [file.suffix for file in files] == [".blob"]
    monkeypatch.setattr(opening, "read", lambda path: pytest.fail("it was compiled again"))
    backend = open_backend(open_bundle(copy), "openvino")
    answers = [backend.infer(one[None])[0] for one in golden.inputs]
    np.testing.assert_allclose(np.stack(answers), golden.probabilities, atol=1e-4)


@needs_openvino
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_what_was_kept_and_is_broken_is_compiled_again(copy: Path, share: float) -> None:
    golden = read_golden(open_bundle(copy))
    open_backend(open_bundle(copy), "openvino").close()
    (file,) = kept(copy / "engines")
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    backend = open_backend(open_bundle(copy), "openvino")
    answers = backend.infer(golden.inputs[:1])
    np.testing.assert_allclose(answers, golden.probabilities[:1], atol=1e-4)
    assert len(file.read_bytes()) == pytest.approx(len(whole), rel=0.01), "it was not kept again"


@needs_openvino
def test_another_graph_is_never_answered_from_what_was_kept(copy: Path, tmp_path: Path) -> None:
    caches = tmp_path / "caches"
    caches.mkdir()
    for identity in ("one graph", "another"):
        open_ov(copy / GRAPH, caches=lambda name: caches, identity=identity).close()
    assert len(kept(caches)) == 2


@needs_openvino
def test_where_nothing_can_be_kept_it_says_so_and_runs(
    bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(name: str) -> Path:
        raise OSError("read-only file system")

    golden = read_golden(open_bundle(bundle))
    with caplog.at_level(logging.WARNING, "edgecnn"):
        backend = open_ov(bundle / GRAPH, caches=refuse, identity="x")
    assert "compiled at every start: read-only file system" in caplog.text
    np.testing.assert_allclose(backend.infer(golden.inputs), golden.probabilities, atol=1e-4)


@needs_openvino
def test_a_file_that_is_no_graph_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.onnx").write_bytes(b"not a graph")
    with pytest.raises(BundleError, match=r"x\.onnx cannot be loaded: \w+") as caught:
        open_ov(tmp_path / "x.onnx")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == "", "other formats were tried, and complained"


@needs_openvino
def test_an_operator_that_it_lacks_is_named(tmp_path: Path) -> None:
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["n", 4, 4, 3])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["n", 3])
    node = helper.make_node("Frobnicate", ["frames"], ["answer"], domain="com.example")
    graph = helper.make_graph([node], "unknown", [frames], [answer])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), tmp_path / "x.onnx")
    with pytest.raises(NoKernelError, match="Frobnicate"):
        open_ov(tmp_path / "x.onnx")


@needs_openvino
def test_a_graph_that_takes_no_bytes_is_refused(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4, 4, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4, 4, 3])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "floats", [x], [y])
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), tmp_path / "x.onnx")
    with pytest.raises(BundleError, match=r"f32 .*expected one tensor of uint8 \(N, H, W, C\)"):
        open_ov(tmp_path / "x.onnx")


@needs_openvino
@pytest.mark.parametrize("count", [1, 2])
def test_frames_of_another_size_are_one_line(bundle: Path, count: int) -> None:
    backend = open_ov(bundle / GRAPH)
    with pytest.raises(BackendError, match="openvino failed: ") as caught:
        backend.infer(np.zeros((count, 16, 16, 3), np.uint8))
    assert "\n" not in str(caught.value)
