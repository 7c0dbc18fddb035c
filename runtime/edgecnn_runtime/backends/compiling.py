"""`edgecnn compile` in a child process, so that a long or failing build stalls nobody."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from edgecnn_runtime.backends.switching import SwitchingBackend
from edgecnn_runtime.errors import BackendError, EdgecnnError

if TYPE_CHECKING:
    from edgecnn_runtime.backends import Backend
    from edgecnn_runtime.bundle import Bundle

log = logging.getLogger("edgecnn")

PATIENCE = 5.0  # seconds for a child that was asked to end
NICENESS = 10  # the camera goes first


def command(bundle: Bundle, name: str, precision: str) -> list[str]:
    """What compiles the engine that is missing, and no other.

    Args:
        name: a compiler's, or `auto`.
        precision: of the graph.
    """
    verb = [sys.executable, "-m", "edgecnn_runtime", "compile", str(bundle.path)]
    return [*verb, "--target", "local", "--compiler", name, "--precision", precision]


def compile_and_wait(bundle: Bundle, name: str, precision: str) -> None:
    """Compile, showing what the compiler shows.

    Raises:
        BackendError: it failed; it has said why.
    """
    done = subprocess.run(
        command(bundle, name, precision), stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
    )
    if done.returncode:
        raise BackendError(f"'edgecnn compile' ended with status {done.returncode}")


def compile_in_background(
    bundle: Bundle,
    name: str,
    precision: str,
    switching: SwitchingBackend,
    open_it: Callable[[], Backend],
) -> BackgroundCompile:
    """Compile in a child process; when that is done, offer the engine to what serves meanwhile.

    Closing `switching` ends the child.

    Args:
        open_it: opens the engine that the child has made.
    """

    def done(problem: str) -> None:
        if problem:
            log.warning("no engine was compiled: %s; staying on %s", problem, switching.name)
            return
        try:
            engine = open_it()
            warm_up(engine, switching.last_count)
            if switching.offer(engine):
                log.warning("an engine was compiled: going on with %s", engine.name)
        except EdgecnnError as error:
            log.warning("what was compiled does not run: %s; staying on %s", error, switching.name)

    build = BackgroundCompile(command(bundle, name, precision), done)
    switching.on_close(build.cancel)
    return build


def warm_up(backend: Backend, count: int) -> None:
    """Let a backend set up all it needs for so many frames, before a camera depends on it.

    Raises:
        BackendError: it fails at that; it is closed.
    """
    shape = tuple(side or 1 for side in backend.input_shape)
    try:
        for _ in range(2):  # the first sets up, the second is as all others will be
            backend.infer(np.zeros((count, *shape), np.uint8))
    except BaseException:
        backend.close()
        raise


class BackgroundCompile:
    """A child process and a thread that waits for it.

    Args:
        command: of the child.
        done: called in that thread with nothing, or with why the child failed; not after `cancel`.
    """

    def __init__(self, command: Sequence[str], done: Callable[[str], None]) -> None:
        self._done = done
        self._said: TextIO = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed by the thread
        self._is_cancelled = threading.Event()
        own_group: dict[str, Any] = {}
        if os.name == "posix":  # Ctrl-C is ours to pass on, and what the child starts ends with it
            own_group["start_new_session"] = True
        try:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                **own_group,
            )
        except BaseException:
            self._said.close()
            raise
        with suppress(AttributeError, OSError):  # where there is such a thing
            os.setpriority(os.PRIO_PROCESS, self._child.pid, NICENESS)
        atexit.register(self.cancel)  # for a program that ends without closing
        self._thread = threading.Thread(target=self._watch, name="edgecnn-compile", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the child still works, or its engine is being opened."""
        return self._thread.is_alive()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for child and `done`; False where that takes longer."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def cancel(self) -> None:
        """End the child and wait for it. Nothing is left behind; a second call does nothing."""
        atexit.unregister(self.cancel)
        self._is_cancelled.set()
        self._end(signal.SIGTERM)
        try:
            self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._end(getattr(signal, "SIGKILL", signal.SIGTERM))
            self._child.wait()
        if self._thread is not threading.current_thread():
            self._thread.join(2 * PATIENCE)  # it may be opening the engine

    def _end(self, number: int) -> None:
        if self._child.poll() is not None:
            return
        with suppress(OSError):
            if os.name == "posix":
                os.killpg(self._child.pid, number)
            else:
                self._child.terminate()

    def _watch(self) -> None:
        status = self._child.wait()
        with self._said:
            self._said.seek(0)
            lines = self._said.read().strip().splitlines()
        if self._is_cancelled.is_set():
            return
        problem = ""
        if status:
            problem = lines[-1] if lines else f"'edgecnn compile' ended with status {status}"
        try:
            self._done(problem.removeprefix("edgecnn compile: "))
        except Exception as error:  # nobody waits for this thread: what serves goes on
            log.warning("what was compiled does not run: %s: %s", type(error).__name__, error)
