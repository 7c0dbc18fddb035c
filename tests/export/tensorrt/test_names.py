"""Every name of TensorRT's API that is used exists, in each version that is supported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgecnn_export.tensorrt.compilers import OPTIONS

ROOT = Path(__file__).parents[3]
SOURCES = sorted(
    [
        *ROOT.glob("export/edgecnn_export/tensorrt/**/*.py"),
        *ROOT.glob("runtime/edgecnn_runtime/backends/trt*/**/*.py"),
        *ROOT.glob("runtime/edgecnn_runtime/backends/trt*.py"),
    ]
)
VERSIONS = ("10.3", "10.13", "11.4")
# TensorRT-RTX's own, which the runtime uses where it has found names beside them.
RTX_ALONE = {
    "ICudaEngine.create_runtime_config",
    "Runtime.engine_header_size",
    "Runtime.get_engine_validity",
}
MODULE = ("api", "trt", "_api", "_trt")  # how the module is called where it is used
MAKES = {  # method -> class of what it gives
    "create_builder_config": "IBuilderConfig",
    "create_network": "INetworkDefinition",
    "create_optimization_profile": "IOptimizationProfile",
    "create_timing_cache": "ITimingCache",
    "get_timing_cache": "ITimingCache",
    "build_serialized_network": "IHostMemory",
    "deserialize_cuda_engine": "ICudaEngine",
    "create_execution_context": "IExecutionContext",
    "create_engine_inspector": "EngineInspector",
    "get_layer": "ILayer",
    "get_input": "ITensor",
    "get_output": "ITensor",
    "get_error": "ParserError",
}


def written(version: str) -> set[str]:
    """`Class` and `Class.member` of names.txt."""
    found, kind = {"tensorrt.__version__"}, ""
    for line in (Path(__file__).with_name("names.txt")).read_text().splitlines():
        if line.startswith("#"):
            continue
        if not line.startswith(" "):
            kind = line
            continue
        of, _, members = line.strip().rpartition("] ")
        if not of or version in of.strip("[").split():
            found |= {kind} | {f"{kind}.{member}" for member in members.split()}
    return found


def last_name(node: ast.expr) -> str:
    return getattr(node, "id", None) or getattr(node, "attr", "")


def annotated(kind: ast.expr | None) -> str:
    """`trt.IBuilderConfig` -> IBuilderConfig."""
    return kind.attr if isinstance(kind, ast.Attribute) and last_name(kind.value) in MODULE else ""


def classes_of_names(tree: ast.AST) -> dict[str, str]:
    """What the names of a file stand for: by annotation, by constructor, by the method called."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            found.append((node.arg, annotated(node.annotation)))
        elif isinstance(node, ast.AnnAssign):
            found.append((last_name(node.target), annotated(node.annotation)))
        elif isinstance(node, ast.Assign | ast.NamedExpr) and isinstance(node.value, ast.Call):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            called = node.value.func
            found.append((last_name(target), annotated(called) or MAKES.get(last_name(called), "")))
    return {name: kind for name, kind in found if name and kind}


def class_of(node: ast.Attribute) -> str:
    """`api.ILogger.Severity` -> ILogger.Severity."""
    outer = node.value
    is_module = not isinstance(outer, ast.Attribute) or last_name(outer) in MODULE
    return node.attr if is_module else f"{class_of(outer)}.{node.attr}"


def used(source: Path) -> Iterator[str]:
    """`Class` and `Class.member` as a file uses them; not those that it asks for before."""
    tree = ast.parse(source.read_text())
    kinds = classes_of_names(tree)
    asked = {
        node.args[1].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and last_name(node.func) in ("hasattr", "getattr")
        if len(node.args) > 1 and isinstance(node.args[1], ast.Constant)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or node.attr in asked or node.attr[:2] == "__":
            continue
        if last_name(node.value) in MODULE:
            yield node.attr if node.attr[0].isupper() else f"tensorrt.{node.attr}"
        elif last_name(node.value)[:1].isupper() and isinstance(node.value, ast.Attribute):
            yield f"{class_of(node.value)}.{node.attr}"
        elif kind := kinds.get(last_name(node.value)):
            yield f"{kind}.{node.attr}"


USED = sorted({name for source in SOURCES for name in used(source)})


def test_the_reader_of_sources_finds_what_is_used() -> None:
    for name in (
        *("Builder", "BuilderFlag.STRIP_PLAN", "Builder.num_DLA_cores", "ParserError.node_name"),
        *("IBuilderConfig.builder_optimization_level", "ITimingCache.serialize", "ITensor.dtype"),
        *("INetworkDefinition.get_layer", "ILayer.metadata", "IOptimizationProfile.set_shape"),
        *("ILogger.Severity.ERROR", "OnnxParser.parse_from_file", "LayerType.CONVOLUTION"),
    ):
        assert name in USED


@pytest.mark.parametrize("version", VERSIONS)
def test_every_name_is_in_the_bindings(version: str) -> None:
    assert [name for name in USED if name not in written(version) | RTX_ALONE] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_plain_tensorrt_has_every_option(version: str) -> None:
    assert [o.needs for o in OPTIONS.values() if o.needs not in written(version)] == []


def test_every_name_is_in_tensorrt_rtx() -> None:
    rtx = pytest.importorskip("tensorrt_rtx", reason="no TensorRT-RTX for this platform")

    def has(dotted: str) -> bool:
        found: Any = rtx
        for part in dotted.removeprefix("tensorrt.").split("."):
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True

    assert [name for name in USED if not has(name)] == []


def test_a_name_of_a_later_version_is_caught(tmp_path: Path) -> None:
    source = tmp_path / "later.py"
    source.write_text(
        "def f(config: trt.IBuilderConfig):\n    config.tiling_optimization_level = 1\n"
    )
    names = set(used(source))
    assert names - written("10.3") == {"IBuilderConfig.tiling_optimization_level"}
    assert names <= written("10.13")
