from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from edgecnn_runtime.cli import run


def test_capture_writes_a_data_set_that_train_reads_and_says_what_is_in_it(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, result = tmp_path / "photos", tmp_path / "x.json"
    command = ["capture", "--source", f"desk={clip}", "--out", str(out), "--classes", "cup,cat"]
    options = ["--begin", "cup", "--every", "0.1", "--headless", "--json", str(result)]
    assert run([*command, *options]) == 0
    written = json.loads(result.read_text())
    cup, cat = written["classes"]
    assert written["frames"] == 40
    assert written["source"] == "desk"
    assert cup["train"] == len(list((out / "train" / "cup").iterdir())) > 3
    assert cup["val"] == len(list((out / "val" / "cup").iterdir())) > 0
    assert (cat["train"], cat["val"]) == (0, 0)
    assert f"cup: {cup['train']} to train, {cup['val']} held out" in capsys.readouterr().out


def test_a_folder_that_has_classes_need_not_be_told_them(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "train" / "leaf").mkdir(parents=True)
    command = ["capture", "--source", str(clip), "--out", str(tmp_path), "--headless"]
    assert run([*command, "--frames", "1"]) == 0
    assert len(list((tmp_path / "train" / "leaf").iterdir())) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "has no class yet; name some: --classes"),
        (["--classes", "a,b"], "--begin CLASS"),
        (["--classes", "apple,pear", "--begin", "aple"], "did you mean 'apple'"),
        (["--classes", "a,a"], "named twice"),
    ],
)
def test_what_is_not_understood_is_one_line_and_status_2(
    clip: Path,
    tmp_path: Path,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["capture", "--source", str(clip), "--out", str(tmp_path / "x"), "--headless"]
    assert run([*command, *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_signal_ends_the_session_with_its_split_made(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    random = np.random.default_rng(1)
    noise = [random.integers(0, 255, (12, 16, 3), np.uint8) for _ in range(20)]
    frames = [np.repeat(np.repeat(frame, 4, 0), 4, 1) for frame in noise] * 200
    clip = make_clip(tmp_path / "long.mp4", frames)
    out, result = tmp_path / "photos", tmp_path / "x.json"
    command = [sys.executable, "-m", "edgecnn_runtime", "capture", "--source", str(clip)]
    command += ["--out", str(out), "--classes", "x"]
    process = subprocess.Popen(
        [*command, "--every", "0", "--difference", "0", "--headless", "--json", str(result)],
        stdin=subprocess.DEVNULL,
    )
    while process.poll() is None and len(list(out.rglob("*.jpg"))) < 20:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    (x,) = json.loads(result.read_text())["classes"]
    assert x["val"] == len(list((out / "val" / "x").iterdir())) > 0
    assert x["train"] == len(list((out / "train" / "x").iterdir()))


def test_the_page_that_takes_a_browsers_camera_has_the_buttons_too(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "edgecnn_runtime", "capture", "--headless"]
    command += ["--source", f"browser://{port}", "--out", str(tmp_path), "--classes", "apple,pear"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    state = {"capture": None}
    while process.poll() is None and not state["capture"]:
        with (
            suppress(OSError),
            urlopen(f"http://127.0.0.1:{port}/state.json", timeout=20) as answer,
        ):
            state = json.load(answer)
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert "pear" in json.dumps(state["capture"])
