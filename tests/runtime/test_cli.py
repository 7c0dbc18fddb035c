from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecnn_runtime.cli import VERBS, run


def test_an_unknown_verb_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["straem"]) == 2
    assert capsys.readouterr().err == "edgecnn: unknown verb 'straem'; did you mean 'stream'?\n"


def test_an_unknown_option_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--jsn", "x"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("edgecnn doctor: ")
    assert error.count("\n") == 1


def test_a_missing_argument_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stream"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("edgecnn ")


@pytest.mark.parametrize("verb", ["stream", "profile", "info", "doctor"])
def test_each_verb_of_the_device_explains_itself(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert "--json" in out
    assert verb in VERBS


def test_json_on_standard_output_is_alone_there(
    bundle: Path, clip: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    arguments = ["stream", str(bundle), "--source", str(clip), "--headless", "--json", "-"]
    assert run(arguments) == 0
    captured = capsysbinary.readouterr()
    assert json.loads(captured.out)["frames"] == 40
    assert b"40 frames" in captured.err


def test_a_full_disk_under_json_is_one_line_and_status_2(
    bundle: Path,
    clip: Path,
    small_disk: Callable[[str], Path],
    nearly_full: Callable[[Path, int], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    disk = small_disk("64k")
    nearly_full(disk, 0)
    target = disk / "result.json"
    arguments = ["stream", str(bundle), "--source", str(clip), "--headless", "--json", str(target)]
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert "No space left" in error
    assert "Traceback" not in error
    assert [p.name for p in disk.iterdir()] == ["filler"]


def test_an_unwritable_json_file_is_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("edgecnn_runtime.console.atomic_write", refuse)
    assert run(["doctor", "--json", "x.json"]) == 2
    assert "edgecnn doctor: x.json: Permission denied" in capsys.readouterr().err
