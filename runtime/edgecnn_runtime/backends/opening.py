"""From the name of a backend to the backend, with what it falls back to."""

from __future__ import annotations

import logging
from functools import cached_property

from edgecnn_runtime.backends import ENGINE_BACKENDS, Backend, open_bundled_graph
from edgecnn_runtime.backends.compiling import compile_and_wait, compile_in_background
from edgecnn_runtime.backends.engine import EngineBackend, open_engine, this_machine
from edgecnn_runtime.backends.identity import Here, NoEngineError, choose
from edgecnn_runtime.backends.switching import SwitchingBackend
from edgecnn_runtime.bundle import Bundle, open_bundle
from edgecnn_runtime.errors import BackendError, BundleError
from edgecnn_runtime.manifest import ImageManifest, OnnxArtifact

log = logging.getLogger("edgecnn")

FOR_CPUS = "int8-cpu"  # the precision that no engine is compiled from


class Opener:
    """Opens what runs a bundle on this machine."""

    def __init__(
        self,
        bundle: Bundle,
        precision: str | None,
        *,
        threads: int | None,
        power: str,
        cuda: str,
    ) -> None:
        self._bundle = bundle
        self._precision = precision
        self._threads = threads
        self._power = power
        self._cuda = cuda

    @cached_property
    def _here(self) -> Here:
        return this_machine()

    def graph(self, name: str = "auto") -> Backend:
        """ONNX Runtime or OpenVINO on the graph.

        Raises:
            BackendError: it does not start, or is not installed.
        """
        return open_bundled_graph(
            self._bundle,
            self._bundle.onnx(self._precision),
            name,
            threads=self._threads,
            power=self._power,
            cuda=self._cuda,
        )

    def engine_or_graph(self, name: str, compile: str) -> Backend:
        """The engine; with `auto`, or while one is compiled, ONNX Runtime where there is none.

        Raises:
            BackendError: the backend was asked for by name and cannot run, or the bundle has
                engines alone and none runs.
        """
        if isinstance(self._bundle.manifest, ImageManifest):
            return self._filter(name, compile)
        may_fall_back = name == "auto" and bool(self._bundle.manifest.onnx)
        if may_fall_back and not self._may_have_an_engine(compile):
            return self.graph()
        try:
            return self._with_spare(self.engine(name), name)
        except NoEngineError as error:
            graph = self._compiled_graph()
            if compile == "background" and graph is not None:
                return self._switch_later(name, graph, error)
            if compile == "wait" and graph is not None:
                return self._wait(name, graph, error)
            if not may_fall_back:
                raise
            log.warning(
                "%s; running on ONNX Runtime.\n  compile one:  %s", error.reason, error.todo
            )
        except (BackendError, BundleError) as error:
            if not may_fall_back:
                raise
            log.warning("%s; running on ONNX Runtime", error)
        return self.graph()

    def engine(self, name: str) -> EngineBackend:
        """The engine for this machine, of one compiler or of any.

        Raises:
            NoEngineError: there is none; what is there, what is here and what to do.
            BackendError, BundleError: there is, and it does not open.
        """
        compilers = tuple(ENGINE_BACKENDS) if name == "auto" else (name,)
        artifact = choose(self._bundle, self._compiled_graph(), compilers, self._here)
        return open_engine(self._bundle, artifact, here=self._here, cuda=self._cuda)

    def _compiled_graph(self) -> OnnxArtifact | None:
        """The graph whose engine is meant; None in a bundle of engines alone."""
        graphs = self._bundle.manifest.onnx
        if self._precision is not None or not graphs:
            return self._bundle.onnx(self._precision) if graphs else None
        return next((graph for graph in graphs if graph.precision != FOR_CPUS), graphs[0])

    def _may_have_an_engine(self, compile: str) -> bool:
        """A bundle with engines for a device is at home on a machine without a GPU too."""
        if compile == "never" and not self._bundle.manifest.engines:
            return False
        if self._here.gpu is None and compile != "never":
            log.warning("no NVIDIA GPU is here to compile for; running on ONNX Runtime")
        return self._here.gpu is not None

    def _with_spare(self, engine: Backend, name: str) -> Backend:
        """What nobody insisted on goes to the CPU when the GPU fails."""
        if name != "auto" or not self._bundle.manifest.onnx:
            return engine
        return SwitchingBackend(engine, spare=lambda: self.graph("onnxruntime"))

    def _filter(self, name: str, compile: str) -> Backend:
        what = f"{self._bundle.path} takes frames of any size, and engines are compiled for one"
        if name != "auto":
            raise BackendError(f"{what}: run it on ONNX Runtime")
        if compile != "never":
            log.warning("%s: it runs on ONNX Runtime", what)
        return self.graph()

    def _again(self) -> Opener:
        """The same for the bundle as it is now, with what was compiled into it."""
        return Opener(
            open_bundle(self._bundle.path),
            self._precision,
            threads=self._threads,
            power=self._power,
            cuda=self._cuda,
        )

    def _wait(self, name: str, graph: OnnxArtifact, error: NoEngineError) -> Backend:
        log.warning("%s; compiling one first, which may take minutes", error.reason)
        try:
            compile_and_wait(self._bundle, name, graph.precision)
            again = self._again()
            return again._with_spare(again.engine(name), name)
        except (BackendError, BundleError) as failure:
            if name != "auto":
                raise
            log.warning("%s; running on ONNX Runtime", failure)
        return self.graph()

    def _switch_later(self, name: str, graph: OnnxArtifact, error: NoEngineError) -> Backend:
        spare = (lambda: self.graph("onnxruntime")) if name == "auto" else None
        switching = SwitchingBackend(self.graph(), spare)
        log.warning(
            "%s; running on %s while one is compiled in the background",
            error.reason,
            switching.name,
        )
        compile_in_background(
            self._bundle, name, graph.precision, switching, lambda: self._again().engine(name)
        )
        return switching
