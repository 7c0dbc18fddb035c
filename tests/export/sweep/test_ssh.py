"""A device over ssh, played by programs `ssh` and `scp` that do here what they are asked to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecnn_export.sweep.measure import Settings
from edgecnn_export.sweep.ssh import Address, Ssh, parse_device
from edgecnn_runtime.errors import BackendError, InputError, MissingPackageError

# They take the options that ours gives them, write down what they were called with, and do it.
SSH = """#!/bin/sh
echo "ssh $*" >> "$LOG"
while [ $# -gt 2 ]; do shift; done
case "$1" in *nowhere*) echo "ssh: Could not resolve hostname nowhere" >&2; exit 255;; esac
exec sh -c "$2"
"""
SCP = """#!/bin/sh
echo "scp $*" >> "$LOG"
while [ $# -gt 2 ]; do shift; done
exec cp -r "$1" "${2#*:}"
"""
PROGRAM = f"{sys.executable} -m edgecnn_runtime"
SETTINGS = Settings(frames=5, threads=1)

Log = Callable[[], list[str]]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    """Put the two programs before all others; what they were called with, a line each."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("ssh", SSH), ("scp", SCP)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    file = tmp_path / "log"
    file.touch()
    monkeypatch.setenv("LOG", str(file))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return lambda: file.read_text().splitlines()


def test_a_bundle_is_copied_measured_there_and_removed(trained_bundle: Path, log: Log) -> None:
    device = Ssh(parse_device("ssh://pi@board:2222"), SETTINGS, PROGRAM)
    assert device.check().startswith("edgecnn ")
    with device.bundle(trained_bundle) as measure:
        folder = Path(log()[-1].rpartition(":")[2])
        assert (folder / trained_bundle.name / "manifest.json").is_file()
        found = measure("fp32", "a hash")
    assert not folder.exists()
    assert found.frames == 5
    assert found.backend == "onnxruntime"
    assert 0 < found.infer_ms < found.p50 <= found.p99
    assert (found.where, found.sha256) == ("ssh://pi@board:2222", "a hash")
    assert all("BatchMode=yes" in line and "pi@board" in line for line in log())
    assert all("ServerAliveInterval=15" in line for line in log()), "it may lose its power"
    assert all("-P 2222" in line if line[:3] == "scp" else "-p 2222" in line for line in log())


def test_a_device_that_does_not_answer_is_said_before_any_work(log: Log) -> None:
    device = Ssh(parse_device("ssh://nowhere"), SETTINGS)
    with pytest.raises(BackendError, match=r"cannot be reached.*resolve.*try: ssh nowhere true"):
        device.check()


def test_a_device_without_edgecnn_is_told_what_to_do(log: Log) -> None:
    device = Ssh(parse_device("ssh://board"), SETTINGS, "/nowhere/edgecnn")
    with pytest.raises(BackendError, match=r"has no program '/nowhere/edgecnn'.*--device-program"):
        device.check()


def test_what_edgecnn_refuses_there_is_said_here_and_the_copy_is_removed(
    trained_bundle: Path, log: Log
) -> None:
    device = Ssh(parse_device("ssh://board"), SETTINGS, PROGRAM)
    with (
        device.bundle(trained_bundle) as measure,
        pytest.raises(BackendError, match="int8") as refusal,
    ):
        measure("int8", "")
    assert "edgecnn profile:" not in str(refusal.value)
    assert log()[-1].rpartition(" rm -rf ")[2].startswith("/tmp/edgecnn-sweep.")


def test_another_program_of_that_name_is_noticed(trained_bundle: Path, log: Log) -> None:
    device = Ssh(parse_device("ssh://board"), SETTINGS, "echo")
    with (
        device.bundle(trained_bundle) as measure,
        pytest.raises(InputError, match="answered with something else"),
    ):
        measure("fp32", "")


def test_a_machine_without_ssh_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPackageError, match="apt install openssh-client"):
        Ssh(parse_device("ssh://board"), SETTINGS)


@pytest.mark.parametrize(
    ("uri", "destination", "port"),
    [
        ("ssh://board", "board", None),
        ("ssh://pi@192.168.1.7:2222", "pi@192.168.1.7", 2222),
        ("ssh://pi@board/", "pi@board", None),
    ],
)
def test_an_address_is_read(uri: str, destination: str, port: int | None) -> None:
    assert parse_device(uri) == Address(uri, destination, port)


@pytest.mark.parametrize(
    "uri", ["pi@board", "http://board", "ssh://", "ssh://board:x", "ssh://-oProxyCommand=x", "s:b"]
)
def test_what_is_no_address_is_refused(uri: str) -> None:
    with pytest.raises(InputError, match="expected ssh://user@host"):
        parse_device(uri)
