"""Open a bundle in this process and measure it, with everything that a figure needs beside it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from edgecnn_runtime.backends import ENGINE_BACKENDS, REFERENCES
from edgecnn_runtime.bundle import open_bundle, read_golden_frames
from edgecnn_runtime.camera.image import resize_frame
from edgecnn_runtime.latency.batches import batch_rates
from edgecnn_runtime.latency.conditions import UNEVEN
from edgecnn_runtime.latency.device import device_of
from edgecnn_runtime.latency.profile import Model, Network, Profile, profile
from edgecnn_runtime.latency.target import is_run, open_target, run_frames
from edgecnn_runtime.latency.watch import Watch
from edgecnn_runtime.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Size = tuple[int, int]


@dataclass(frozen=True)
class Candidate:
    """What is measured: a bundle on a backend, or a run on PyTorch; see `open_target`."""

    bundle: str
    backend: str = "auto"
    precision: str | None = None
    compile: str = "never"


@dataclass(frozen=True)
class Way:
    """How it is measured; see `profile`.

    Attributes:
        size: (H, W) of the camera's frames; None for 480x640, or what the bundle was made for.
        batches: sizes whose throughput is measured too.
    """

    frames: int = 300
    rate: float | None = None
    idle_s: float = 0.0
    keep_warm: str = "no"
    threads: int | None = None
    size: Size | None = None
    batches: tuple[int, ...] = ()


class Session:
    """A candidate that is open.

    Raises:
        BackendError: it cannot run here.
        BundleError: it is missing, incomplete or altered.
    """

    def __init__(self, candidate: Candidate, way: Way) -> None:
        self.candidate, self.way = candidate, way
        self._watch = Watch()
        began = perf_counter()
        self.model: Model = open_target(
            candidate.bundle,
            backend=candidate.backend,
            precision=candidate.precision,
            threads=way.threads,
            compile=candidate.compile,
        )
        self.load_ms = (perf_counter() - began) * 1e3
        try:
            self.frames = camera_frames(candidate.bundle, way.size)
        except BaseException:
            self.model.close()
            raise

    def measure(self, on_frame: Callable[[], object] = lambda: None) -> Profile:
        """Warm up and measure."""
        way, name = self.way, self.model.backend.name
        watch = self._watch.computes_on(name)
        found = profile(
            self.model,
            self.frames,
            count=way.frames,
            rate=way.rate,
            idle_s=way.idle_s,
            keep_warm=way.keep_warm,
            device=device_of(name),
            load_ms=self.load_ms,
            on_frame=on_frame,
            around=watch,
        )
        memory = watch.memory()  # before the batches, which take more
        return replace(
            found,
            network=network_of(self.candidate, self.model),
            threads=way.threads,
            frame_size=(self.frames[0].shape[0], self.frames[0].shape[1]),
            conditions=watch.conditions,
            energy=watch.energy(way.frames),
            memory=memory,
            batches=batch_rates(self.model, self.frames, way.batches),
            warnings=warnings_of(found, watch),
            notes=watch.closed,
        )

    def close(self) -> None:
        self.model.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def warnings_of(found: Profile, watch: Watch) -> list[str]:
    """Why a figure may not be that of a quiet machine; and that it is uneven where nobody knows."""
    said = watch.conditions.warnings() if watch.conditions else []
    if not found.is_steady:
        said.append(f"the times were not steady after {found.warmup_frames} frames of warm-up")
    if found.cv > UNEVEN and not said:
        said.append(
            f"the times vary by {found.cv:.0%} of their mean, and nothing that this machine tells"
            " explains it"
        )
    return said


def network_of(candidate: Candidate, model: Model) -> Network:
    """What a candidate runs; of an engine, the graph that it was made from."""
    name, precision, sha256 = model.backend.name, candidate.precision or "", ""
    if name in REFERENCES:
        precision = "fp32"
    elif graphs := open_bundle(candidate.bundle).manifest.onnx:
        if name in ENGINE_BACKENDS:  # none is compiled from a graph that is for CPUs
            graphs = tuple(g for g in graphs if g.precision != "int8-cpu") or graphs
        graph = next((g for g in graphs if g.precision == candidate.precision), graphs[0])
        precision, sha256 = graph.precision, graph.sha256
    manifest = model.manifest
    described = manifest.model if isinstance(manifest, Manifest) else None
    return Network(
        bundle=Path(candidate.bundle).resolve().name,
        name=manifest.model.name,
        precision=precision,
        takes=model.backend.input_shape,
        parameters=described.parameters if described else None,
        macs=described.macs if described else None,
        sha256=sha256,
    )


def camera_frames(target: str, size: Size | None) -> list[NDArray[np.uint8]]:
    """Golden frames of a bundle, or held-out ones of a run, as a camera of a size gives them.

    Args:
        size: (height, width).
    """
    if is_run(target):
        return [resize_frame(frame, *(size or (480, 640))) for frame in run_frames(target)]
    opened = open_bundle(target)
    if size is None and isinstance(opened.manifest, Manifest):
        size = opened.manifest.input.frame
    return [resize_frame(frame, *(size or (480, 640))) for frame in read_golden_frames(opened)]


def measure(
    candidate: Candidate, way: Way, on_frame: Callable[[], object] = lambda: None
) -> Profile:
    """Open, measure and close one candidate in this process.

    Raises:
        BackendError: it cannot run here.
        BundleError: it is missing, incomplete or altered.
    """
    with ExitStack() as stack:
        session = stack.enter_context(Session(candidate, way))
        return session.measure(on_frame)
