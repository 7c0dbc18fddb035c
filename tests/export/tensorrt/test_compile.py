"""Real engines from the real compiler, for GPUs that are not here."""

from __future__ import annotations

import json
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecnn_export.tensorrt import compilers, engines
from edgecnn_export.tensorrt.build import BuildOptions, build_engine, parse_batch
from edgecnn_export.tensorrt.compilers import Compiler, find_compiler
from edgecnn_export.tensorrt.engines import compile_bundle
from edgecnn_export.tensorrt.targets import resolve_targets
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.cli import run
from edgecnn_runtime.errors import BackendError, BundleError, InputError, MissingPackageError
from edgecnn_runtime.manifest import EngineOptions

OneLine = Callable[..., str]


def test_engines_for_two_gpus_are_compiled_without_one(rtx: Compiler, copy: Path) -> None:
    compiled = compile_bundle(open_bundle(copy), rtx, ["sm86", "sm89"], BuildOptions())
    bundle = open_bundle(copy)
    bundle.check()
    assert [e.target for e in compiled] == ["sm86", "sm89"]
    for engine, artifact in zip(compiled, bundle.manifest.engines, strict=True):
        assert engine.bytes == artifact.bytes > 100_000
        assert artifact.compiler == "tensorrt-rtx"
        assert artifact.onnx_sha256 == bundle.manifest.onnx[0].sha256
        assert artifact.batch == (1, 1, 8)


def test_a_valid_engine_is_not_compiled_again(rtx: Compiler, copy: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        (engine,) = compile_bundle(
            open_bundle(copy), rtx, ["sm86"], BuildOptions(), tell=told.append
        )
    assert engine.reused
    assert told[-1] == f"{engine.file} is there already"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (BuildOptions(batch=(1, 4, 4)), "is there and is for batch 1:1:8"),
        (BuildOptions(engine=EngineOptions(level=5)), "is there and was compiled without these"),
    ],
)
def test_an_engine_of_other_options_is_replaced_and_not_silently(
    rtx: Compiler, copy: Path, options: BuildOptions, says: str
) -> None:
    compile_bundle(open_bundle(copy), rtx, ["sm86"], BuildOptions())
    told: list[str] = []
    (other,) = compile_bundle(open_bundle(copy), rtx, ["sm86"], options, tell=told.append)
    assert not other.reused
    assert says in told[0]
    bundle = open_bundle(copy)
    bundle.check()
    (listed,) = bundle.manifest.engines
    assert (listed.batch, listed.options) == (options.batch, options.engine)
    (again,) = compile_bundle(bundle, rtx, ["sm86"], options)
    assert again.reused


@pytest.mark.parametrize("damage", ["turned round", "cut short", "gone"])
def test_a_damaged_engine_is_compiled_again(rtx: Compiler, copy: Path, damage: str) -> None:
    (engine,) = compile_bundle(open_bundle(copy), rtx, ["sm86"], BuildOptions())
    file = copy / engine.file
    content = file.read_bytes()
    file.write_bytes(content[::-1] if damage == "turned round" else content[:1000])
    if damage == "gone":
        file.unlink()
    with pytest.raises(
        BundleError, match=f"compile it again: edgecnn compile {copy} --target sm86"
    ):
        open_bundle(copy).check()
    with Classifier.open(copy) as classify:  # needs no engine
        assert classify.manifest.engines
    (mended,) = compile_bundle(open_bundle(copy), rtx, ["sm86"], BuildOptions())
    assert not mended.reused
    open_bundle(copy).check()


def test_engines_of_two_programs_at_once_are_both_listed(rtx: Compiler, copy: Path) -> None:
    first, second = open_bundle(copy), open_bundle(copy)
    compile_bundle(first, rtx, ["sm86"], BuildOptions())
    compile_bundle(second, rtx, ["sm89"], BuildOptions())
    assert {engine.target for engine in open_bundle(copy).manifest.engines} == {"sm86", "sm89"}


def test_an_engine_of_an_altered_graph_is_not_built(
    rtx: Compiler, copy: Path, refused: OneLine
) -> None:
    graph = copy / "model.fp32.onnx"
    content = bytearray(graph.read_bytes())
    content[-20] ^= 1
    graph.write_bytes(content)
    assert "was altered" in refused("compile", copy, "--target", "sm86")
    assert not (copy / "engines").exists()


def test_a_bundle_that_cannot_be_written_is_refused_before_anything_is_compiled(
    rtx: Compiler, copy: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engines.os, "access", lambda path, _: path != copy)  # root may write
    assert run(["compile", str(copy), "--target", "sm86"]) == 2
    captured = capfd.readouterr()
    assert f"{copy} cannot be written; copy the bundle to a folder of yours" in captured.err
    assert "compiling" not in captured.out


def test_verify_lists_engines_that_cannot_run_here(
    rtx: Compiler, copy: Path, tmp_path: Path
) -> None:
    compile_bundle(open_bundle(copy), rtx, ["sm89"], BuildOptions())
    assert run(["verify", str(copy), "--json", str(tmp_path / "v.json")]) == 0
    statuses = [a["status"] for a in json.loads((tmp_path / "v.json").read_text())["artifacts"]]
    assert statuses[0] == "agrees"
    assert statuses[1].startswith("not run: needs sm89, tensorrt-rtx")


def test_a_graph_that_the_compiler_cannot_read_names_the_layer(rtx: Compiler) -> None:
    with pytest.raises(BackendError, match="cannot read the graph"):
        build_engine(rtx, b"not a graph", "sm86", BuildOptions())


@pytest.mark.parametrize(
    ("target", "says"),
    [("sm87", "is a Jetson"), ("sm860", "did you mean 'sm86'"), (",", "expected local")],
)
def test_a_target_that_cannot_be_is_refused(rtx: Compiler, target: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        resolve_targets(rtx, target, None)


def test_local_without_a_gpu_says_which_targets_can_be_named(rtx: Compiler) -> None:
    with pytest.raises(InputError, match="no NVIDIA GPU is here; name the GPUs"):
        resolve_targets(rtx, "local", None)
    assert resolve_targets(rtx, "local,sm86", "sm86") == ["sm86"]


def test_a_gpu_that_rtx_has_no_kernels_for_is_named(rtx: Compiler) -> None:
    with pytest.raises(InputError, match=r"GPU is sm90, which tensorrt-rtx .* has no kernels for"):
        resolve_targets(rtx, "local", "sm90")


def test_plain_tensorrt_compiles_for_this_gpu_alone() -> None:
    plain = Compiler("tensorrt", "10.3.0", types.SimpleNamespace())
    assert resolve_targets(plain, "local", "sm87") == ["sm87"]
    with pytest.raises(InputError, match="for this machine's GPU alone"):
        resolve_targets(plain, "sm86", "sm87")


def test_auto_takes_tensorrt_first(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"tensorrt": Compiler("tensorrt", "10.3.0", None)}
    monkeypatch.setattr(compilers, "_load", here.get)
    assert find_compiler("auto").name == "tensorrt"


def test_a_jetson_is_never_given_to_rtx(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"tensorrt-rtx": Compiler("tensorrt-rtx", "1.7.1", None)}
    monkeypatch.setattr(compilers, "_load", here.get)
    with pytest.raises(MissingPackageError, match="JetPack's TensorRT"):
        find_compiler("auto", is_jetson=True)
    with pytest.raises(BackendError, match="no kernels for a Jetson"):
        find_compiler("tensorrt-rtx", is_jetson=True)


def test_without_a_compiler_the_verb_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, trained_bundle: Path, refused: OneLine
) -> None:
    monkeypatch.setattr(compilers, "_load", lambda _: None)
    assert "pip install 'edgecnn[tensorrt-rtx]'" in refused("compile", trained_bundle)
    monkeypatch.setattr(compilers.sys, "platform", "darwin")
    assert "macOS" in refused("compile", trained_bundle)


@pytest.mark.parametrize(("text", "batch"), [("1:1:8", (1, 1, 8)), ("4", (4, 4, 4))])
def test_a_batch_range_reads(text: str, batch: tuple[int, int, int]) -> None:
    assert parse_batch(text) == batch


@pytest.mark.parametrize("text", ["8:1:1", "0", "a", "1:2", ""])
def test_a_batch_range_out_of_order_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected N or MIN:BEST:MAX"):
        parse_batch(text)
