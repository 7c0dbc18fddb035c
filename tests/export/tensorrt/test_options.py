"""Options of the compiler: what each version is told, and what it says where it has none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecnn_export.tensorrt import compilers
from edgecnn_export.tensorrt.build import BuildOptions, build_engine
from edgecnn_export.tensorrt.compilers import Compiler, find_compiler
from edgecnn_runtime.cli import run
from edgecnn_runtime.errors import BackendError
from edgecnn_runtime.manifest import EngineOptions

OneLine = Callable[..., str]
GRAPH = b"a graph"


def with_options(**options: Any) -> BuildOptions:
    batch = options.pop("batch", (1, 1, 8))
    return BuildOptions(batch=batch, engine=EngineOptions(**options))


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (("--timing-cache", "timings"), "times no kernels"),
        (("--version-compatible",), "run on the version that compiled them"),
        (("--hardware-compatible",), "other GPUs by name"),
        (("--dla", "0"), "compile there, with JetPack's TensorRT"),
    ],
)
def test_rtx_says_what_it_lacks_and_what_to_do(
    rtx: Compiler, trained_bundle: Path, refused: OneLine, option: tuple[str, ...], says: str
) -> None:
    line = refused("compile", trained_bundle, "--target", "sm86", *option)
    assert f"{rtx} has no {option[0]}" in line
    assert says in line


@pytest.mark.parametrize("option", ["--strip", "--refittable"])
def test_rtx_needs_a_gpu_to_make_weights_exchangeable(
    trained_bundle: Path,
    refused: OneLine,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    rtx: Compiler,
) -> None:
    monkeypatch.setattr("edgecnn_export.tensorrt.engines.compute_capability", lambda: None)
    line = refused("compile", trained_bundle, "--target", "sm86", option)
    assert f"needs an NVIDIA GPU and its driver for {option}" in line


def test_rtx_takes_level_workspace_and_sparsity(
    rtx: Compiler, trained_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(trained_bundle, tmp_path / "b.bundle"))
    line = ["compile", str(copy), "--target", "sm86", "--level", "0", "--workspace", "512"]
    assert run([*line, "--sparse"]) == 0
    (engine,) = json.loads((copy / "manifest.json").read_text())["artifacts"][1:]
    assert engine["options"] == {"level": 0, "workspace_mb": 512, "sparse": True}
    assert "tells of no layer with 2:4 weights" in capsys.readouterr().out


def test_a_workspace_that_is_too_small_says_so(rtx: Compiler, trained_bundle: Path) -> None:
    graph = trained_bundle / "model.fp32.onnx"
    with pytest.raises(BackendError, match=r"within workspace limit.*; raise --workspace"):
        build_engine(rtx, graph, "sm86", with_options(workspace_mb=1))


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, set()),
        ({"strip": True}, {"STRIP_PLAN", "REFIT_IDENTICAL"}),
        ({"refittable": True}, {"REFIT"}),
        ({"strip": True, "refittable": True}, {"STRIP_PLAN", "REFIT"}),
        ({"version_compatible": True}, {"VERSION_COMPATIBLE"}),
        ({"sparse": True}, {"SPARSE_WEIGHTS"}),
    ],
)
def test_plain_tensorrt_is_given_flags(
    fake: Any, options: dict[str, bool], flags: set[str]
) -> None:
    tensorrt = fake()
    build_engine(tensorrt.compiler(), GRAPH, "sm87", with_options(**options))
    assert tensorrt.flags == flags


def test_plain_tensorrt_is_given_level_workspace_and_compatibility(fake: Any) -> None:
    tensorrt = fake()
    options = with_options(level=5, workspace_mb=256, hardware_compatible=True)
    build_engine(tensorrt.compiler(), GRAPH, "sm86", options)
    assert tensorrt.config.builder_optimization_level == 5
    assert tensorrt.config.pools == {"WORKSPACE": 256 << 20}
    assert tensorrt.config.hardware_compatibility_level.name == "AMPERE_PLUS"


def test_an_engine_is_built_to_tell_of_its_layers(fake: Any) -> None:
    tensorrt = fake()
    build_engine(tensorrt.compiler(), GRAPH, "sm87", BuildOptions())
    assert tensorrt.config.profiling_verbosity.name == "DETAILED"


def test_networks_are_strongly_typed_while_that_is_a_choice(fake: Any) -> None:
    old, later = fake(), fake(version="12.0.0", lacks=("STRONGLY_TYPED",))
    for tensorrt in (old, later):
        build_engine(tensorrt.compiler(), GRAPH, "sm86", BuildOptions())
    assert old.typed == 1 << 1  # 10.3, where networks are weakly typed otherwise
    assert later.typed == 0


def test_an_api_without_a_flag_is_refused_by_name(fake: Any) -> None:
    compiler = fake(lacks=("SPARSE_WEIGHTS",)).compiler()
    with pytest.raises(
        BackendError, match=r"no --sparse: its API lacks BuilderFlag\.SPARSE_WEIGHTS"
    ):
        build_engine(compiler, GRAPH, "sm87", with_options(sparse=True))


def test_what_tensorrt_says_of_sparsity_is_told(fake: Any) -> None:
    said = "(Sparsity) Found 12 layer(s) eligible to use sparse tactics: "
    tensorrt = fake(says=((3, said),))
    told: list[str] = []
    build_engine(tensorrt.compiler(), GRAPH, "sm87", with_options(sparse=True), tell=told.append)
    assert told == ["--sparse: Found 12 layer(s) eligible to use sparse tactics"]


def test_a_dla_takes_what_it_can_and_the_gpu_the_rest(fake: Any) -> None:
    tensorrt = fake(cores=2)
    told: list[str] = []
    options = with_options(dla=1, batch=(1, 1, 1))
    build_engine(tensorrt.compiler(), GRAPH, "sm87", options, tell=told.append)
    assert tensorrt.config.DLA_core == 1
    assert tensorrt.config.default_device_type.name == "DLA"
    assert tensorrt.flags == {"GPU_FALLBACK"}
    assert told == ["1 of 1 layers can run on DLA 1, the GPU takes the rest"]


@pytest.mark.parametrize(
    ("cores", "able", "batch", "says"),
    [
        (0, True, (1, 1, 1), "sees none on this machine"),
        (1, True, (1, 1, 1), "this machine has 1"),
        (2, True, (1, 1, 8), "a DLA runs one batch size, got 1:1:8; compile it with --batch 1"),
        (2, False, (1, 1, 1), "computes in FP16 and INT8"),
    ],
)
def test_a_dla_that_cannot_is_refused(
    fake: Any, cores: int, able: bool, batch: tuple[int, int, int], says: str
) -> None:
    compiler = fake(cores=cores, able=able).compiler()
    with pytest.raises(BackendError, match=says):
        build_engine(compiler, GRAPH, "sm87", with_options(dla=1, batch=batch))


def test_without_a_driver_it_says_what_is_missing(fake: Any) -> None:
    with pytest.raises(BackendError, match=r"does not start: .*'edgecnn doctor' tells"):
        build_engine(fake(starts=False).compiler(), GRAPH, "sm87", BuildOptions())


def test_a_builder_without_memory_says_what_to_do(fake: Any) -> None:
    said = "[virtualMemoryBuffer.cpp::resizePhysical::140] Error Code 2: OutOfMemory (Requested"
    tensorrt = fake(fails=True, says=((1, f"{said} size was 8589934592 bytes.)"),))
    with pytest.raises(BackendError, match=r"8589934592 bytes.*; too little memory is free"):
        build_engine(tensorrt.compiler(), GRAPH, "sm87", BuildOptions())


def test_the_first_error_is_the_reason(fake: Any) -> None:
    first = (
        "IBuilder::buildSerializedNetwork: Error Code 1: Myelin ([pass.cpp:337: check] Cannot"
        " compile 'classifier/Gemm'. In compileGraph at /_src/optimizer/codeGenerator.cpp:2012)"
    )
    after = "[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime (cudaError 35)"
    tensorrt = fake(fails=True, says=((1, first), (1, after)))
    with pytest.raises(BackendError) as caught:
        build_engine(tensorrt.compiler(), GRAPH, "sm87", BuildOptions())
    assert str(caught.value) == (
        "tensorrt 10.3.0 cannot compile for sm87: Cannot compile 'classifier/Gemm'."
    )


@pytest.mark.parametrize("version", ["8.6.1", "10.2.0"])
def test_a_tensorrt_before_10_3_is_too_old(
    fake: Any, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    here = {"tensorrt": fake(version=version).compiler()}
    monkeypatch.setattr(compilers, "_load", here.get)
    with pytest.raises(BackendError, match=f"{version} is too old: it needs 10.3 or later"):
        find_compiler("tensorrt")
    here["tensorrt-rtx"] = Compiler("tensorrt-rtx", "1.7.1", here["tensorrt"].api)
    assert find_compiler("auto").name == "tensorrt-rtx"


def test_fp32_is_not_computed_in_tf32_and_an_rtx_engine_can_be_captured(
    rtx: Compiler, fake: Any
) -> None:
    made = fake()
    config = made.configure()
    made.compiler().set_defaults(config)
    assert made.flags == set()
    api: Any = rtx.api
    real = api.Builder(api.Logger()).create_builder_config()
    assert real.get_flag(api.BuilderFlag.TF32)
    rtx.set_defaults(real)
    assert not real.get_flag(api.BuilderFlag.TF32)
    assert real.get_flag(api.BuilderFlag.REQUIRE_USER_ALLOCATION)
