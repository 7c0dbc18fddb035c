"""What is in a bundle, as far as its files and its manifest tell: nothing is loaded or run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgecnn_runtime.bundle.read import Bundle, open_bundle
from edgecnn_runtime.errors import BundleError
from edgecnn_runtime.manifest import AnyManifest, Artifact, EngineArtifact, File, OnnxArtifact


@dataclass(frozen=True)
class Entry:
    """A graph or an engine.

    Attributes:
        artifact: what the manifest says of it.
        state: `altered` where the file is not the one that was written.
        graph: the ONNX file that an engine was compiled from; None for a graph, and for an engine
            whose graph the bundle no longer has, which is stale.
        graph_bytes: the size of that graph with its weights, which are nearly all of it. An engine
            is not smaller than its weights; what it has more is kernels, or source of kernels.
    """

    artifact: Artifact
    state: Literal["whole", "altered"]
    graph: str | None = None
    graph_bytes: int | None = None

    @property
    def is_stale(self) -> bool:
        return isinstance(self.artifact, EngineArtifact) and self.graph is None


@dataclass(frozen=True)
class Contents:
    """A bundle's manifest and the state of its files."""

    bundle: str
    manifest: AnyManifest
    entries: list[Entry]
    golden: Literal["whole", "altered", "none"]


def contents(path: str | Path) -> Contents:
    """Read a bundle and hash its files.

    Raises:
        BundleError: it is not a bundle, or a file is missing or shortened.
    """
    bundle = open_bundle(path)
    graphs = {graph.sha256: graph for graph in bundle.manifest.onnx}
    entries = [_entry(bundle, artifact, graphs) for artifact in bundle.manifest.artifacts]
    golden = bundle.manifest.golden
    return Contents(
        bundle=str(path),
        manifest=bundle.manifest,
        entries=entries,
        golden="none" if golden is None else _state(bundle, golden),
    )


def _entry(bundle: Bundle, artifact: Artifact, graphs: dict[str, OnnxArtifact]) -> Entry:
    state = _state(bundle, artifact)
    graph = graphs.get(artifact.onnx_sha256) if isinstance(artifact, EngineArtifact) else None
    if graph is None:
        return Entry(artifact, state)
    size = graph.bytes + (graph.data.bytes if graph.data else 0)
    return Entry(artifact, state, graph.file, size)


def _state(bundle: Bundle, entry: File) -> Literal["whole", "altered"]:
    try:
        bundle.file(entry)
    except BundleError:
        return "altered"
    return "whole"
