"""What the process list shows of a command line that holds a password."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pytest

from edgecnn_runtime.arguments import PLAIN, command_of, hidden, shown_again
from edgecnn_runtime.camera.patience import Patience
from edgecnn_runtime.camera.settings import Settings

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")

# The console script as pip writes it, and the module.
SCRIPT = "import sys\nfrom edgecnn_runtime.cli import main\nsys.exit(main())\n"


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://me:secret@host/a",
        "front=rtsp://me:secret@host/a",
        "--source=rtsp://me:secret@host/a",
        "rtsp://me:${HERE}secret@host/a",
        "https://secret@host/a",
        "rtsp://me:sec?ret=secret#@host/a",
        "http://host/video.cgi?usr=me&pwd=secret",
        "http://host/video?size=640x480&x=secret",
        "http://0.0.0.0:8080?token=secret",
        "mqtt://me:secret@host/topic?on=change",
        "webhook+https://host/services/secret",
        "webhook+http://me:secret@host/x?y=secret",
        "rtspsrc location=rtsp://me:secret@host/a latency=0 ! decodebin ! videoconvert",
        "rtspsrc location=rtsp://host/a user-id=me user-pw=secret ! decodebin",
    ],
)
def test_a_credential_leaves_the_arguments_and_comes_back_whole(text: str) -> None:
    command, values = hidden(["stream", text])
    assert "secret" not in " ".join(command)
    environment = dict(values)
    assert shown_again(command, environment) == ["stream", text]
    assert environment == {}, "what it stood for is passed on to no child"
    assert hidden(command) == (command, {}), "what is hidden is not hidden again"


@pytest.mark.parametrize(
    "text",
    [
        "0?size=640x480&fps=30",
        "rtsp://${USER}:${PASSWORD}@host/a",
        "rtsp://me:${PASSWORD}@host/a",
        "http://host/video?token=${TOKEN}",
        "mqtt://host/topic?on=change&every=5",
        "photographs/*.jpg",
        "is it me@home?",
        "me@host",
        "x.avi?rotate_mb=1",
        "synthetic://?size=640x480&seed=3&frames=9",
    ],
)
def test_what_holds_no_credential_stays_as_it_is(text: str) -> None:
    assert hidden([text]) == ([text], {})


def test_every_setting_of_a_source_may_stand_in_the_process_list() -> None:
    known = {f.name for f in (*fields(Settings), *fields(Patience))} - {"patience"}
    assert known <= PLAIN


def test_only_a_command_line_that_ends_with_the_arguments_is_run_again() -> None:
    secret = "rtsp://me:secret@host/a"
    assert command_of(["python", "mine.py", "x"], [secret]) is None
    found = command_of(["python", "-X", "dev", "-m", "edgecnn_runtime", secret], [secret])
    assert found is not None
    command, values = found
    assert command[1:5] == ["-X", "dev", "-m", "edgecnn_runtime"]
    assert list(values.values()) == ["me:secret"]


def test_a_program_that_calls_ours_is_not_started_twice(tmp_path: Path) -> None:
    program = tmp_path / "mine.py"
    program.write_text(f"print('begun', flush=True)\n{SCRIPT}")
    done = subprocess.run(
        [sys.executable, str(program), "stream", "rtsp://me:secret@host/a"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == "begun\n"


@pytest.fixture(params=["script", "module"])
def edgecnn(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Both ways to start it."""
    if request.param == "module":
        return [sys.executable, "-m", "edgecnn_runtime"]
    script = tmp_path / "edgecnn"
    script.write_text(f"#!{sys.executable}\n{SCRIPT}")
    script.chmod(0o755)
    return [str(script)]


def start(command: Sequence[str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@linux
def test_the_process_list_shows_no_password_and_a_signal_ends_the_same_process(
    edgecnn: list[str], bundle: Path
) -> None:
    secret = "synthetic://?size=160x120&password=5ecret"
    process = start([*edgecnn, "stream", str(bundle), "--source", secret])
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2, "the setting is none, and that is said as ever"
    assert "unknown setting 'password'" in error

    sink = "http://127.0.0.1:0?token=5ecret"
    source = "synthetic://?size=160x120"
    process = start(
        [*edgecnn, "stream", str(bundle), "--source", source, "--sink", sink, "--sink", "-"]
    )
    assert process.stdout is not None
    assert '"label":' in process.stdout.readline(), "it runs"
    listed = Path(f"/proc/{process.pid}/cmdline").read_text()
    assert "5ecret" not in listed
    assert "token" not in listed
    assert re.search(r"http://127\.0\.0\.1:0\?\$\{EDGECNN_ARGUMENT_\d+\}", listed)
    environment = Path(f"/proc/{process.pid}/environ")
    assert environment.stat().st_mode & 0o077 == 0, "its owner's alone"
    assert "5ecret" in environment.read_text()
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert "5ecret" not in out + error


@linux
def test_standard_input_and_the_exit_status_pass_through(tmp_path: Path) -> None:
    script = tmp_path / "edgecnn"
    script.write_text(
        "import sys\n"
        "from edgecnn_runtime import cli\n"
        "cli.run = lambda arguments: print(arguments, sys.stdin.read()) or 7\n"
        "cli.main()\n"
    )
    process = start([sys.executable, str(script), "rtsp://a:b@c/d"])
    out, _ = process.communicate("typed", timeout=60)
    assert process.returncode == 7
    assert out == "['rtsp://a:b@c/d'] typed\n"
