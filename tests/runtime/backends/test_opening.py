"""What opens where: the engine of this machine, else what the bundle falls back to, said once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.backends import BACKENDS, compiling, open_artifact, open_backend
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.cli import run
from edgecnn_runtime.errors import BackendError, BundleError, InputError
from edgecnn_runtime.image_filter import ImageFilter
from edgecnn_runtime.opening import open_model
from edgecnn_runtime.stream.loop import Stream

Machine = Any


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "colour.bundle"))


@pytest.fixture
def red() -> NDArray[np.uint8]:
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:, :, 2] = 200
    return frame


def test_auto_runs_the_engine_of_this_machine(
    machine: Machine, copy: Path, red: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    machine.add(copy)
    with Classifier.open(copy) as classify:
        assert classify.backend.name == "tensorrt"
        assert classify(red)[0].label == "red"
    assert machine.tensorrt.enqueues > 0
    assert machine.driver.memory == {}
    assert caplog.text == ""


def test_a_bundle_without_engines_runs_on_onnx_runtime_without_a_word(
    machine: Machine, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Classifier.open(copy) as classify:
        assert classify.backend.name == "onnxruntime"
    assert caplog.text == ""


def test_engines_for_a_device_say_nothing_on_a_workstation_without_a_gpu(
    make_machine: Callable[..., Machine], copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_machine(target="sm86").add(copy)
    make_machine(target=None)
    with Classifier.open(copy) as classify:
        assert classify.backend.name == "onnxruntime"
    assert caplog.text == ""


@pytest.fixture(
    params=[
        "another GPU",
        "another version",
        "cut short",
        "a stranger's file",
        "out of memory",
        "batch outside",
        "another graph",
        "altered",
        "missing",
        "no context",
    ]
)
def misfit(request: pytest.FixtureRequest, machine: Machine, copy: Path) -> str:
    """An engine in the bundle that cannot run here; what the one line must say of it."""
    tensorrt = machine.tensorrt
    spoil = {
        "another GPU": lambda: machine.add(copy, target="sm89"),
        "another version": lambda: machine.add(copy, version="10.4.0"),
        "batch outside": lambda: machine.add(copy, batch=(4, 4, 8)),
        "another graph": lambda: machine.add(copy, onnx_sha256="0" * 64),
        "a stranger's file": lambda: machine.add(copy, data=b"MZ of somebody else"),
        "out of memory": lambda: machine.add(copy, data=tensorrt.build(scratch=1 << 40)),
    }
    says = {
        "another GPU": "has engines for sm89, this GPU is sm86",
        "another version": "of tensorrt 10.4.0, here is sm86, tensorrt 10.3.0",
        "batch outside": "takes 4 to 8 frames at once, not 1",
        "another graph": "was compiled from another graph",
        "a stranger's file": "does not load in tensorrt 10.3.0: Serialization assertion",
        "out of memory": "the GPU is out of memory: 1099511.6 MB asked for",
        "cut short": "has 10 bytes, the manifest says",
        "altered": "was altered: its sha256 is",
        "missing": "is missing, though the manifest lists it",
        "no context": "gets no context in tensorrt 10.3.0: Cuda Runtime (out of memory)",
    }
    if request.param == "no context":  # found at the first frame
        machine.add(copy, data=tensorrt.build(no_context=True))
    elif request.param in spoil:
        spoil[request.param]()
    else:
        file = copy / machine.add(copy).file
        content = file.read_bytes()
        changed = {"cut short": content[:10], "altered": content[::-1]}.get(request.param)
        file.unlink()
        if changed is not None:
            file.write_bytes(changed)
    return says[request.param]


def test_an_engine_that_cannot_run_here_is_one_line_and_the_classifier_goes_on(
    misfit: str,
    machine: Machine,
    copy: Path,
    red: NDArray[np.uint8],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Classifier.open(copy) as classify:
        for _ in range(3):
            assert classify(red)[0].label == "red"
        assert classify.backend.name == "onnxruntime"
    (message,) = caplog.messages
    assert misfit in message
    first, *more = message.splitlines()
    assert "running on ONNX Runtime" in first or "going on with onnxruntime" in first
    assert all(line.startswith("  compile one:  edgecnn compile") for line in more)
    assert (machine.driver.memory, machine.driver.entered) == ({}, 0)


def test_asked_for_by_name_it_is_an_error_of_one_line(
    misfit: str, copy: Path, red: NDArray[np.uint8]
) -> None:
    with (
        pytest.raises((BackendError, BundleError)) as caught,
        Classifier.open(copy, backend="tensorrt") as classify,
    ):
        classify(red)
    assert misfit in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_warning_is_the_one_that_the_manual_shows(
    machine: Machine, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine.add(copy, target="sm89")
    machine.add(copy, target="sm120")
    Classifier.open(copy).close()
    assert caplog.messages == [
        f"{copy} has engines for sm89 and sm120, this GPU is sm86; running on ONNX Runtime.\n"
        f"  compile one:  edgecnn compile {copy} --target local"
    ]


def test_a_gpu_that_fails_in_the_middle_of_a_film_does_not_end_it(
    machine: Machine, copy: Path, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine.add(copy)
    with Classifier.open(copy) as classify:
        results = []
        for result in Stream(classify, clip):
            results.append(result)
            if result.index == 10:
                machine.tensorrt.refuses = machine.driver.launch = broken
        assert [r.index for r in results] == list(range(40))
        with Classifier.open(copy, backend="onnxruntime") as cpu:
            for result in results:
                assert result.best.label == cpu(result.frame)[0].label
    backends = [r.backend for r in results]
    assert backends[0] == "tensorrt"
    assert backends[-1] == "onnxruntime"
    assert len(caplog.messages) == 1


def broken(*arguments: Any) -> None:
    raise BackendError("CUDA's cuGraphLaunch failed: CUDA_ERROR_LAUNCH_FAILED")


def test_two_frames_of_a_film_are_on_the_gpu_at_once_and_one_of_a_camera(
    machine: Machine, copy: Path, clip: Path
) -> None:
    machine.add(copy)
    with Classifier.open(copy, backend="tensorrt") as classify:
        most = 0
        for _ in Stream(classify, clip):
            most = max(most, len(classify.backend._on_their_way))
        assert most == 1, "one is read while the other is on its way"
        assert machine.tensorrt.contexts == 2


def test_a_filter_has_no_engines(
    machine: Machine, filter_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(BackendError, match="frames of any size, and engines are compiled for one"):
        ImageFilter.open(filter_bundle, backend="tensorrt")
    open_model(filter_bundle).close()
    assert caplog.text == ""
    open_model(filter_bundle, compile="background").close()
    assert "it runs on ONNX Runtime" in caplog.text


def test_a_graph_backend_is_not_told_to_compile(copy: Path) -> None:
    with pytest.raises(InputError, match="runs no engines"):
        Classifier.open(copy, backend="onnxruntime", compile="wait")
    with pytest.raises(InputError, match="did you mean 'background'"):
        Classifier.open(copy, compile="backround")


def test_an_engine_cannot_be_given_to_a_graph(machine: Machine, copy: Path) -> None:
    bundle = open_bundle(copy)
    with pytest.raises(
        BackendError, match=r"'tensorrt' runs engines, and model\.fp32\.onnx is a graph"
    ):
        open_artifact(bundle, bundle.manifest.artifacts[0], "tensorrt")


def test_an_artifact_that_loads_here_opens_as_what_it_is(machine: Machine, copy: Path) -> None:
    machine.add(copy)
    bundle = open_bundle(copy)
    names = []
    for artifact in bundle.manifest.artifacts:
        backend = open_artifact(bundle, artifact)
        names.append(backend.name)
        backend.close()
    assert names == ["onnxruntime", "tensorrt"]


@pytest.mark.parametrize("verb", ["stream", "profile"])
def test_help_names_every_backend(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0
    said = capsys.readouterr().out.replace("\n", "").replace(" ", "").replace("-", "")
    for name in BACKENDS:
        assert name.replace("-", "") in said


class Child:
    """A command that stands in for `edgecnn compile`, and what it has left."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "compile.py"
        self.started = folder / "started"
        self.go = folder / "go"

    def does(self, body: str) -> None:
        """Say that it runs, wait for a word, and then do this."""
        self.script.write_text(
            textwrap.dedent(f"""
            import os, pathlib, shutil, signal, subprocess, sys, time
            pathlib.Path({str(self.started)!r}).write_text(str(os.getpid()))
            bundle = pathlib.Path(sys.argv[1])
            while not os.path.exists({str(self.go)!r}):
                time.sleep(0.01)
            """)
            + textwrap.dedent(body)
        )

    def pid(self) -> int:
        """Of the child, once it runs."""
        end = time.monotonic() + 30
        while not (self.started.exists() and self.started.read_text()):
            assert time.monotonic() < end, "it never started"
            time.sleep(0.01)
        return int(self.started.read_text())

    def is_alive(self) -> bool:
        try:
            os.kill(self.pid(), 0)
        except ProcessLookupError:
            return False
        return True


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Child:
    found = Child(tmp_path)

    def command(bundle: Any, name: str, precision: str) -> list[str]:
        assert precision == "fp32"
        return [sys.executable, str(found.script), str(bundle.path), name]

    monkeypatch.setattr(compiling, "command", command)
    return found


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[compiling.BackgroundCompile]:
    """The builds that were started in the background."""
    made: list[compiling.BackgroundCompile] = []
    real = compiling.BackgroundCompile

    def make(*arguments: Any) -> Any:
        made.append(real(*arguments))
        return made[-1]

    monkeypatch.setattr(compiling, "BackgroundCompile", make)
    return made


def with_engine(machine: Machine, copy: Path, folder: Path, **changes: Any) -> Path:
    """The same bundle with an engine, for a child to put in its place."""
    other = Path(shutil.copytree(copy, folder / "with-engine.bundle"))
    machine.add(other, **changes)
    return other


PUT_IT_THERE = "shutil.copytree({!r}, bundle, dirs_exist_ok=True)"


def test_an_engine_is_compiled_while_the_fallback_serves_and_then_takes_over(
    machine: Machine,
    copy: Path,
    red: NDArray[np.uint8],
    child: Child,
    builds: list[compiling.BackgroundCompile],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    child.does(PUT_IT_THERE.format(str(with_engine(machine, copy, tmp_path))))
    with Classifier.open(copy, compile="background") as classify:
        assert child.is_alive()
        assert classify(red)[0].label == "red"
        assert classify.backend.name == "onnxruntime"
        child.go.touch()
        assert builds[0].wait(60)
        assert machine.tensorrt.enqueues > 0, "it was warmed up before it takes over"
        enqueues = machine.tensorrt.enqueues
        assert classify.backend.name == "onnxruntime", "not before the next frame"
        assert classify(red)[0].label == "red"
        assert classify.backend.name == "tensorrt"
        assert machine.tensorrt.enqueues == enqueues, "its first frame is a launch"
    said = "\n".join(caplog.messages)
    assert "running on onnxruntime while one is compiled in the background" in said
    assert "going on with tensorrt" in said
    assert len(caplog.messages) == 2
    assert machine.driver.memory == {}


def test_a_stream_tells_which_backend_answered_when_an_engine_takes_over(
    machine: Machine,
    copy: Path,
    clip: Path,
    child: Child,
    builds: list[compiling.BackgroundCompile],
    tmp_path: Path,
) -> None:
    child.does(PUT_IT_THERE.format(str(with_engine(machine, copy, tmp_path))))
    with Classifier.open(copy, compile="background") as classify:
        results = []
        for result in Stream(classify, clip):
            results.append(result)
            if result.index == 9:
                child.go.touch()
                assert builds[0].wait(60)
    assert [r.index for r in results] == list(range(40))
    backends = [r.backend for r in results]
    assert backends == ["onnxruntime"] * 10 + ["tensorrt"] * 30


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            "print('edgecnn compile: sm86 refuses', file=sys.stderr); sys.exit(2)",
            "no engine was compiled: sm86 refuses; staying on onnxruntime",
        ),
        ("sys.exit(3)", "'edgecnn compile' ended with status 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "'edgecnn compile' ended with status -9"),
        ("pass", "has no tensorrt or tensorrt-rtx engine of model.fp32.onnx"),
        ("(bundle / 'manifest.json').write_text('{')", "manifest.json cannot be read"),
    ],
)
def test_a_build_that_fails_is_said_and_the_fallback_stays(
    machine: Machine,
    copy: Path,
    red: NDArray[np.uint8],
    child: Child,
    builds: list[compiling.BackgroundCompile],
    caplog: pytest.LogCaptureFixture,
    body: str,
    says: str,
) -> None:
    child.does(body)
    child.go.touch()
    with Classifier.open(copy, compile="background") as classify:
        assert builds[0].wait(60)
        assert classify(red)[0].label == "red"
        assert classify.backend.name == "onnxruntime"
    assert says in caplog.messages[-1]
    assert len(caplog.messages) == 2


def test_an_engine_that_was_compiled_and_does_not_open_is_said_and_the_fallback_stays(
    machine: Machine,
    copy: Path,
    red: NDArray[np.uint8],
    child: Child,
    builds: list[compiling.BackgroundCompile],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = with_engine(machine, copy, tmp_path, data=machine.tensorrt.build(no_context=True))
    child.does(PUT_IT_THERE.format(str(other)))
    child.go.touch()
    with Classifier.open(copy, compile="background") as classify:
        assert builds[0].wait(60)
        assert classify(red)[0].label == "red"
    assert "gets no context" in caplog.messages[-1]
    assert "staying on onnxruntime" in caplog.messages[-1]
    assert machine.driver.memory == {}, "what was opened of it was closed again"


HANGS = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(bundle.parent, "helper").write_text(str(helper.pid))
time.sleep(600)
"""


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")
def test_a_build_that_hangs_stalls_nobody_and_closing_leaves_no_process_behind(
    machine: Machine,
    copy: Path,
    red: NDArray[np.uint8],
    child: Child,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiling, "PATIENCE", 0.2)
    child.does(HANGS)
    child.go.touch()
    threads = threading.active_count()
    with Classifier.open(copy, compile="background") as classify:
        pid = child.pid()
        helper = copy.parent / "helper"
        while not (helper.exists() and helper.read_text()):
            assert classify(red)[0].label == "red"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert is_gone(int(helper.read_text()))
    assert threading.active_count() == threads
    assert len(caplog.messages) == 1, "what was cancelled has not failed"


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")
def test_a_program_that_ends_without_closing_leaves_no_process_behind() -> None:
    program = """
import sys
from edgecnn_runtime.backends.compiling import BackgroundCompile
build = BackgroundCompile([sys.executable, "-c", "import time; time.sleep(600)"], print)
print(build._child.pid)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert is_gone(int(done.stdout))


def is_gone(pid: int) -> bool:
    """An orphan may stay a zombie until whoever adopted it looks after it."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


def test_the_child_gives_way_to_the_camera(machine: Machine, copy: Path, child: Child) -> None:
    child.does("time.sleep(600)")
    with Classifier.open(copy, compile="background"):
        assert os.getpriority(os.PRIO_PROCESS, child.pid()) >= compiling.NICENESS


def test_waiting_for_the_engine_compiles_it_first(
    machine: Machine,
    copy: Path,
    child: Child,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    child.does(PUT_IT_THERE.format(str(with_engine(machine, copy, tmp_path))))
    child.go.touch()
    with Classifier.open(copy, compile="wait", backend="tensorrt") as classify:
        assert classify.backend.name == "tensorrt"
    assert "compiling one first, which may take minutes" in caplog.text


def test_waiting_for_an_engine_that_cannot_be_compiled_falls_back_or_is_an_error(
    machine: Machine, copy: Path, child: Child, caplog: pytest.LogCaptureFixture
) -> None:
    child.does("sys.exit(2)")
    child.go.touch()
    with pytest.raises(BackendError, match="ended with status 2"):
        Classifier.open(copy, compile="wait", backend="tensorrt")
    with Classifier.open(copy, compile="wait") as classify:
        assert classify.backend.name == "onnxruntime"
    assert "ended with status 2; running on ONNX Runtime" in caplog.messages[-1]


def test_a_valid_engine_is_not_compiled_again(
    machine: Machine, copy: Path, child: Child, builds: list[compiling.BackgroundCompile]
) -> None:
    machine.add(copy)
    with Classifier.open(copy, compile="background") as classify:
        assert classify.backend.name == "tensorrt"
    assert builds == []
    assert not child.started.exists()


def test_without_a_gpu_nothing_is_compiled(
    make_machine: Callable[..., Machine],
    copy: Path,
    builds: list[compiling.BackgroundCompile],
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_machine(target=None)
    with Classifier.open(copy, compile="background") as classify:
        assert classify.backend.name == "onnxruntime"
    assert builds == []
    assert caplog.messages == ["no NVIDIA GPU is here to compile for; running on ONNX Runtime"]


def test_the_real_child_is_the_verb_compile(bundle: Path) -> None:
    command = compiling.command(open_bundle(bundle), "auto", "fp32")
    assert command[1:4] == ["-m", "edgecnn_runtime", "compile"]
    assert command[-2:] == ["--precision", "fp32"], "and no other graph of the bundle"
    done: list[str] = []
    build = compiling.BackgroundCompile(command, done.append)
    assert build.wait(120)
    (problem,) = done
    assert problem, "no GPU is here, or it has no engine yet: the verb says which"
    assert "Traceback" not in problem


def test_a_backend_of_no_name_is_answered_with_the_nearest(copy: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'tensorrt-rtx'"):
        open_backend(open_bundle(copy), "tensort-rtx")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
