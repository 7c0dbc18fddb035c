"""A stranger's ONNX file: read nothing that it should not reach, and say what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
from onnx import TensorProto

from edgecnn_runtime.errors import InputError

NEWEST = onnx.defs.onnx_opset_version()
# What else comes under the name of a graph, by its first bytes.
OTHERS = {
    b"version https://git-lfs": "a pointer of Git LFS; 'git lfs pull' fetches the file itself",
    b"<": "a web page; download the file itself",
    b"PK": "a zip archive, as PyTorch writes weights; pass weights with --weights",
}


def read_onnx(path: Path) -> onnx.ModelProto:
    """Read a graph with its external data, which must lie beside it.

    Raises:
        InputError: no file, none of ONNX, newer than this onnx, or data that is not in its folder.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected an ONNX file")
    if not path.is_file():
        raise InputError(f"no file {path}; expected an ONNX graph")
    if not path.stat().st_size:
        raise InputError(f"{path} is empty; expected an ONNX graph: copy or export it again")
    model = _parse(path)
    _check_versions(path, model)
    functions = (tensor for f in model.functions for tensor in _of_nodes(f.node))
    for tensor in (*_tensors(model.graph), *functions):
        if tensor.data_location == TensorProto.EXTERNAL:
            _check_external(path, tensor)
    try:
        onnx.checker.check_model(str(path))
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # the checker and the reader have a class for each fault
        raise InputError(f"{path} is not a valid ONNX graph: {_first_line(error)}") from error
    return model


def _parse(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path, load_external_data=False)
    except OSError:
        raise
    except Exception as error:
        with path.open("rb") as file:
            start = file.read(32).lstrip()
        other = next((what for sign, what in OTHERS.items() if start.startswith(sign)), None)
        why = f"it is {other}" if other else "it is cut short or of another kind: copy it again"
        raise InputError(f"{path} is not a readable ONNX graph: {why}") from error
    if not model.graph.node:
        raise InputError(f"{path} holds no graph; expected an ONNX classifier")
    return model


def _check_versions(path: Path, model: onnx.ModelProto) -> None:
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), None)
    if opset is None:
        raise InputError(f"{path} names no opset of ONNX; expected one up to {NEWEST}")
    if opset > NEWEST:
        raise InputError(
            f"{path} is of opset {opset}, onnx {onnx.__version__} reads up to {NEWEST}; export it"
            " with opset 17, or upgrade onnx and onnxruntime"
        )
    if model.ir_version > onnx.IR_VERSION:
        raise InputError(
            f"{path} is of IR version {model.ir_version}, onnx {onnx.__version__} reads up to"
            f" {onnx.IR_VERSION}; export it with an older onnx, or upgrade onnx and onnxruntime"
        )


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """All constants of a graph, those inside of nodes and of their own graphs too."""
    yield from graph.initializer
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for attribute in (a for node in nodes for a in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for inner in (attribute.g, *attribute.graphs):
            yield from _tensors(inner)


def _check_external(path: Path, tensor: onnx.TensorProto) -> None:
    """A graph from a stranger must not read another file than its own."""
    location = next((e.value for e in tensor.external_data if e.key == "location"), "")
    file = path.parent / location
    expected = "expected a file beside the graph"
    where = f"{path} has the data of {tensor.name!r} in {location!r}"
    if Path(location).is_absolute() or "\\" in location or ".." in Path(location).parts:
        raise InputError(f"{where}, outside of its folder; {expected}: save it anew with onnx.save")
    if file.is_symlink() or path.parent.resolve() not in file.resolve().parents:
        raise InputError(f"{where}, a link out of its folder; {expected}: copy the data there")
    if not file.is_file():
        raise InputError(f"{where}, which is missing; {expected}: copy that file too")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
