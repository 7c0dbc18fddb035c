"""The precision of every product, read from the graph that goes into the real compiler."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecnn_export.tensorrt.build import BuildOptions, build_engine, read_graph
from edgecnn_export.tensorrt.compilers import Compiler
from edgecnn_export.tensorrt.engines import compile_bundle
from edgecnn_export.tensorrt.typed import Higher
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.cli import run
from edgecnn_runtime.errors import BackendError

OneLine = Callable[..., str]


def weights(name: str, *shape: int) -> onnx.TensorProto:
    values = np.random.default_rng(len(name)).integers(-127, 128, shape)
    return numpy_helper.from_array(values.astype(np.float32) / 127, name)


def quantised(name: str, source: str) -> list[onnx.NodeProto]:
    """Q and DQ around a tensor: what is behind it is computed in INT8."""
    return [
        helper.make_node("QuantizeLinear", [source, "scale", "zero"], [f"{name}_q"]),
        helper.make_node("DequantizeLinear", [f"{name}_q", "scale", "zero"], [name]),
    ]


def graph(
    *nodes: onnx.NodeProto, inits: tuple[onnx.TensorProto, ...], batch: str | int = "N"
) -> bytes:
    """A network on (N, 8, 16, 16) frames: one convolution `conv`, and `product` behind a pool."""
    scale = numpy_helper.from_array(np.float32(0.05), "scale")
    zero = numpy_helper.from_array(np.int8(0), "zero")
    made = helper.make_graph(
        [
            *nodes,
            helper.make_node("GlobalAveragePool", ["c"], ["p"], "pool"),
            helper.make_node("Flatten", ["p"], ["f"], "flatten"),
            helper.make_node("Gemm", ["f", "v"], ["y"], "product", transB=1),
        ],
        "two products",
        [helper.make_tensor_value_info("frames", TensorProto.FLOAT, [batch, 8, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 4])],
        [scale, zero, weights("v", 4, 8), *inits],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return bytes(model.SerializeToString())


CONV = helper.make_node("Conv", ["x", "w"], ["c"], "conv", pads=[1] * 4)
KERNEL = weights("w32", 8, 8, 3, 3)


def test_products_on_quantised_values_are_int8_and_others_are_named(rtx: Compiler) -> None:
    content = graph(*quantised("x", "frames"), *quantised("w", "w32"), CONV, inits=(KERNEL,))
    typed = read_graph(rtx, content).typed
    assert {p.layer: p.precision for p in typed.products} == {"conv": "int8", "product": "fp32"}
    assert typed.higher("int8", kept=()) == (Higher("product", "matrix product", "fp32", False),)
    assert typed.higher("int8", kept=("product",))[0].kept
    assert typed.higher("fp32", kept=()) == ()


def test_a_product_of_quantised_and_plain_values_is_not_int8(rtx: Compiler) -> None:
    content = graph(
        *quantised("x", "frames"),
        helper.make_node("Identity", ["w32"], ["w"]),
        CONV,
        inits=(KERNEL,),
    )
    products = read_graph(rtx, content).typed.products
    assert {p.layer: p.precision for p in products}["conv"] == "fp32"


def test_a_graph_that_says_fp16_and_has_fp32_inside_is_found_out(rtx: Compiler) -> None:
    half = numpy_helper.from_array(numpy_helper.to_array(KERNEL).astype(np.float16), "w")
    content = graph(
        helper.make_node("Cast", ["frames"], ["x"], to=TensorProto.FLOAT16),
        helper.make_node("Conv", ["x", "w"], ["c16"], "conv", pads=[1] * 4),
        helper.make_node("Cast", ["c16"], ["c"], to=TensorProto.FLOAT),
        inits=(half,),
    )
    typed = read_graph(rtx, content).typed
    assert [h.layer for h in typed.higher("fp16", kept=())] == ["product"]
    assert typed.weight_bytes >= 2 * 8 * 8 * 9 + 4 * 4 * 8


def test_an_exported_fp16_graph_has_no_product_in_fp32(rtx: Compiler, half_bundle: Path) -> None:
    half, full = (
        read_graph(rtx, half_bundle / f"model.{precision}.onnx").typed
        for precision in ("fp16", "fp32")
    )
    assert len(half.products) == len(full.products) == 28  # 27 convolutions and the classifier
    assert half.higher("fp16", kept=()) == ()
    assert len(full.higher("fp16", kept=())) == 28
    assert half.weight_bytes == pytest.approx(full.weight_bytes / 2, rel=0.01)


def test_compile_tells_kept_layers_from_those_that_nothing_explains(
    rtx: Compiler, half_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(half_bundle, tmp_path / "b.bundle"))
    manifest = json.loads((copy / "manifest.json").read_text())
    _, full = manifest["artifacts"]
    full |= {"precision": "fp16", "kept": ["features.0.0/Conv", "features.1.0.0/Conv"]}
    manifest["artifacts"] = [full]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert run(["compile", str(copy), "--target", "sm86", "--json", str(tmp_path / "c.json")]) == 0
    (engine,) = json.loads((tmp_path / "c.json").read_text())["engines"]
    assert len(engine["higher_precision"]) == 28
    assert engine["higher_precision"][0] == {
        "layer": "features.0.0/Conv",
        "kind": "convolution",
        "precision": "fp32",
        "kept": True,
    }
    assert sum(layer["kept"] for layer in engine["higher_precision"]) == 2
    out = capsys.readouterr().out
    before, _, after = out.partition("compiling model.fp32.onnx")
    assert "2 in a higher precision than fp16, kept there by the export: features.0.0/C" in before
    assert "26 in a higher precision than fp16, which nothing explains:" in before
    assert "explains" not in after


def test_weights_are_reported_apart_from_kernels(rtx: Compiler, copy: Path) -> None:
    (engine,) = compile_bundle(open_bundle(copy), rtx, ["sm86"], BuildOptions())
    parameters = open_bundle(copy).classifier().model.parameters
    folded = 4 * parameters  # of FP32; batch norms became a bias each
    assert engine.weight_bytes == pytest.approx(folded, rel=0.05)
    assert engine.weight_bytes < engine.bytes


def test_turing_has_no_fp32_product_and_the_command_offers_fp16(
    rtx: Compiler, half_bundle: Path, tmp_path: Path, refused: OneLine
) -> None:
    copy = Path(shutil.copytree(half_bundle, tmp_path / "b.bundle"))
    line = refused("compile", copy, "--target", "sm75", "--precision", "fp32")
    assert "no FP32 matrix product for sm75, and 'Gemm' is one; FP16 compiles: export with" in line
    assert run(["compile", str(copy), "--target", "sm75", "--precision", "fp16"]) == 0
    (engine,) = open_bundle(copy).manifest.engines
    assert (engine.target, engine.precision) == ("sm75", "fp16")


def test_turing_is_refused_by_the_compiler_as_we_say(
    rtx: Compiler, trained_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Compiler, "refuses_fp32_products", lambda *_: False)
    with pytest.raises(
        BackendError, match=r"'classifier/Gemm' for Turing.*export with --precision"
    ):
        build_engine(rtx, trained_bundle / "model.fp32.onnx", "sm75", BuildOptions())


def test_an_unknown_precision_names_those_that_are_there(copy: Path, refused: OneLine) -> None:
    line = refused("compile", copy, "--target", "sm86", "--precision", "fp16")
    assert "unknown precision 'fp16'; expected one of: fp32; " in line


def test_a_node_that_tensorrt_lacks_is_named(rtx: Compiler) -> None:
    odd = helper.make_node("Bernoulli", ["x"], ["c"], "odd one")
    content = graph(helper.make_node("Identity", ["frames"], ["x"]), odd, inits=())
    with pytest.raises(
        BackendError, match=r"cannot read the graph: Bernoulli odd one: .*"
    ) as caught:
        read_graph(rtx, content)
    assert "ONNX Runtime" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_graph_of_one_batch_size_names_it(rtx: Compiler) -> None:
    inits = (numpy_helper.from_array(numpy_helper.to_array(KERNEL), "w"),)
    content = graph(helper.make_node("Identity", ["frames"], ["x"]), CONV, inits=inits, batch=4)
    says = r"fixed batch of 4, got 1:1:8; compile it with --batch 4"
    with pytest.raises(BackendError, match=says):
        build_engine(rtx, content, "sm86", BuildOptions())
    assert build_engine(rtx, content, "sm86", BuildOptions(batch=(4, 4, 4)))


def test_engine_options_survive_writing_and_reading(rtx: Compiler, copy: Path) -> None:
    compile_bundle(open_bundle(copy), rtx, ["sm86"], BuildOptions())
    (plain,) = open_bundle(copy).manifest.engines
    written = json.loads((copy / "manifest.json").read_text())
    assert written["artifacts"][-1].pop("options") == {}
    (copy / "manifest.json").write_text(json.dumps(written))  # as an older version wrote it
    assert open_bundle(copy).manifest.engines == (plain,)
    assert msgspec.to_builtins(plain.options) == {}
