"""A build in a thread of its own: how far it is, and how it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from edgecnn_export.tensorrt.api import Api

Result = TypeVar("Result")
Show = Callable[[str, float], None]  # what it is at, and the share that is done
REFRESH = 0.1  # seconds


@dataclass
class _Phase:
    name: str
    parent: str | None
    steps: int
    done: int = 0


@dataclass
class Watch:
    """What the builder told of a build: phases within phases, each of so many steps.

    The builder may call from several threads at once.
    """

    _phases: dict[str, _Phase] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _cancelled: bool = False
    _finished: bool = False  # the outermost

    def cancel(self) -> None:
        """Have the builder stop at its next step."""
        self._cancelled = True

    def start(self, name: str, parent: str | None, steps: int) -> None:
        with self._lock:
            self._phases[name] = _Phase(name, parent, max(1, steps))

    def step(self, name: str, step: int) -> bool:
        """Note a step; whether to go on."""
        with self._lock:
            if name in self._phases:
                self._phases[name].done = step + 1
        return not self._cancelled

    def finish(self, name: str) -> None:
        with self._lock:
            ended = self._phases.pop(name, None)
            self._finished |= ended is not None and ended.parent is None

    def state(self) -> tuple[str, float]:
        """The innermost phase under way, and the share of the whole that is done."""
        with self._lock:
            outermost = next((p for p in self._phases.values() if p.parent is None), None)
            return self._within(outermost) if outermost else ("", float(self._finished))

    def _within(self, phase: _Phase) -> tuple[str, float]:
        inner = next((p for p in self._phases.values() if p.parent == phase.name), None)
        text, share = self._within(inner) if inner else (phase.name, 0.0)
        return text, min(1.0, (phase.done + share) / phase.steps)


def monitor(api: Api, watch: Watch) -> Any:
    """A progress monitor that tells a watch. TensorRT keeps no reference: the caller must."""

    base: Any = api.IProgressMonitor

    class Monitor(base):  # type: ignore[misc]  # its type is known only at run time
        def __init__(self) -> None:
            base.__init__(self)

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            watch.start(name, parent, steps)

        def step_complete(self, name: str, step: int) -> bool:
            return watch.step(name, step)

        def phase_finish(self, name: str) -> None:
            watch.finish(name)

    return Monitor()


def run_watched(work: Callable[[], Result], watch: Watch, show: Show | None) -> Result:
    """Run a build so that its progress is seen and Ctrl-C stops it.

    Python can handle a signal only between two of its own instructions, and a build is one call
    into the compiler. So that runs in a thread, and this one waits. After Ctrl-C it waits for the
    builder to reach its next step, which may take seconds; a second Ctrl-C does not wait.

    Raises:
        KeyboardInterrupt: as it came, once the builder has stopped.
    """
    outcome: list[Result] = []
    failure: list[BaseException] = []

    def build() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # goes on in the thread that waits
            failure.append(error)

    thread = threading.Thread(target=build, name="edgecnn compile", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(REFRESH)
            if show:
                show(*watch.state())
    except BaseException:
        watch.cancel()
        thread.join()
        raise
    if failure:
        raise failure[0]
    return outcome[0]
