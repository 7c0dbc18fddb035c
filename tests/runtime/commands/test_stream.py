from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import cv2
import numpy as np
import pytest

from edgecnn_runtime.cli import run

MakeBundle = Callable[..., Path]
HEADLESS_ENV = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}


def edgecnn(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "edgecnn_runtime", *map(str, arguments)]


def test_a_stream_prints_a_summary_and_writes_the_fields_of_the_interface(
    bundle: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "stream.json"
    source = f"front={clip}"
    assert (
        run(["stream", str(bundle), "--source", source, "--headless", "--json", str(result)]) == 0
    )
    out = capsys.readouterr().out
    assert "which_colour on onnxruntime: 40 frames of front" in out
    assert "end to end" in out
    assert re.search(r"Throughput: [\d.]+ qps\nLatency: min = [\d.]+ ms, max = ", out)
    written = json.loads(result.read_text())
    assert written["frames"] == 40
    assert written["dropped"] == written["reconnects"] == written["errors"] == 0
    percentiles = {"mean", "p50", "p90", "p95", "p99", "p999", "min", "max"}
    assert set(written["end_to_end"]) == set(written["frame_age"]) == percentiles
    assert set(written["stages"]) == {"preprocess", "infer", "postprocess"}
    (source_figures,) = written["sources"]
    assert source_figures["name"] == "front"
    assert source_figures["age_from"] == "capture"
    assert sum(written["labels"].values()) == 40
    assert written["backends"] == {"onnxruntime": 40}
    assert written["weights"] == "trained"


def test_no_display_is_one_line_and_the_stream_goes_on(bundle: Path, clip: Path) -> None:
    done = subprocess.run(
        edgecnn("stream", bundle, "--source", clip, "--frames", 5),
        env=HEADLESS_ENV,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert "going on without a window" in done.stderr
    assert "5 frames" in done.stdout


def test_random_weights_are_said_in_the_terminal(
    make_bundle: MakeBundle, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(tmp_path / "r.bundle", weights="random")
    assert run(["stream", str(bundle), "--source", str(clip), "--headless", "--frames", "2"]) == 0
    assert "RANDOM WEIGHTS" in capsys.readouterr().out


def test_several_sources_of_a_file_and_the_command_line_are_answered_together(
    bundle: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cameras, result = tmp_path / "cameras.toml", tmp_path / "x.json"
    cameras.write_text(f'[back]\nuri = "{clip}"\nskip = 1\n[gone]\nuri = "96"\nretries = 0\n')
    command = ["stream", str(bundle), "--source", f"front={clip}", "--cameras", str(cameras)]
    assert run([*command, "--headless", "--json", str(result)]) == 0, "some were alive"
    written = json.loads(result.read_text())
    frames = {one["name"]: one["frames"] for one in written["sources"]}
    assert frames == {"front": 40, "back": 20, "gone": 0}
    assert written["frames"] == 60
    (gone,) = (one for one in written["sources"] if one["name"] == "gone")
    assert "no camera 96" in gone["error"]
    out = capsys.readouterr().out
    assert "60 frames of 3 sources" in out
    assert "gone: 0 frames" in out


def test_sources_of_which_none_lives_are_status_2(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["stream", str(bundle), "--source", "96", "--source", "97", "--retries", "0"]
    assert run([*command, "--headless"]) == 2
    assert "is given up after 0 attempts: no camera 9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "no source is named; give --source URI or --cameras FILE.toml"),
        (["--source", "a=0", "--source", "a=1"], "two sources are named 'a'"),
        (["--source", "0", "--size", "640"], "expected WIDTHxHEIGHT, as 640x480"),
        (["--source", "0", "--rotate", "45"], "unknown rotate '45'"),
        (["--source", "0", "--rtsp-transport", "http"], "unknown transport 'http'"),
        (["--source", "0", "--stall", "0"], "expected a number above 0"),
        (["--cameras", "none.toml"], "none.toml cannot be read: No such file"),
    ],
)
def test_a_wrong_option_of_a_source_is_one_line(
    bundle: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["stream", str(bundle), *options, "--headless"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nothing.mp4", "no such source: nothing.mp4"),
        ("ftp://me:secret@cam/1", "ftp:// is not read by this version"),
        ("rtsp://me:secret@127.0.0.1:9/1", "Connection refused"),
        ("${NOT_SET_HERE}", "not set"),
    ],
)
def test_a_bad_source_is_one_line_and_status_2(
    bundle: Path, source: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["stream", str(bundle), "--source", source, "--headless"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert "secret" not in error


def test_two_things_cannot_share_standard_output(
    bundle: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["stream", str(bundle), "--source", str(clip), "--sink", "-", "--json", "-"]
    assert run(arguments) == 2
    assert "both want standard output" in capsys.readouterr().err


def test_a_sink_that_failed_is_status_1_at_the_end(
    bundle: Path,
    clip: Path,
    small_disk: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = str(small_disk("8k") / "x.jsonl")
    assert run(["stream", str(bundle), "--source", str(clip), "--sink", target]) == 1
    captured = capsys.readouterr()
    assert "40 frames of pan.mp4" in captured.out
    assert "FAILED: No space left on device" in captured.out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_stream_cleanly_and_leaves_a_playable_video(
    bundle: Path,
    make_clip: Callable[..., Path],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    clip = make_clip(tmp_path / "long.mp4", [np.full((48, 64, 3), 90, np.uint8)] * 6000)
    video, lines, result = (tmp_path / n for n in ("x.mp4", "x.jsonl", "x.json"))
    command = edgecnn("stream", bundle, "--source", clip, "--headless", "--json", result)
    process = subprocess.Popen(
        [*command, "--sink", str(video), "--sink", str(lines)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not (lines.exists() and lines.stat().st_size > 5000):
        time.sleep(0.02)
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    written = json.loads(result.read_text())
    assert 0 < written["frames"] < 6000
    assert len(lines.read_text().splitlines()) == written["frames"]
    recording = cv2.VideoCapture(str(video))
    assert int(recording.get(cv2.CAP_PROP_FRAME_COUNT)) == written["frames"]
    assert recording.read()[0]
    recording.release()
    assert f"{written['frames']} frames" in out


def test_smoothed_answers_events_and_kept_frames_go_where_they_were_asked(
    bundle: Path, clip: Path, tmp_path: Path
) -> None:
    lines, events, unsure = tmp_path / "x.jsonl", tmp_path / "events", tmp_path / "unsure"
    command = ["stream", str(bundle), "--source", str(clip), "--headless", "--sink", str(lines)]
    command += ["--smooth", "exponential:0.1", "--unknown", "0.99999", "--event", "unknown:0"]
    command += ["--save-events", str(events), "--keep-uncertain", str(unsure)]
    assert run([*command, "--json", str(tmp_path / "x.json")]) == 0
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert {r["label"] for r in records} == {"red"}
    assert "unknown" in {r["steady_label"] for r in records}
    assert len(list(events.iterdir())) == sum("events" in r for r in records) > 0
    assert list(unsure.iterdir()) == []
    labels = json.loads((tmp_path / "x.json").read_text())["labels"]
    assert labels["unknown"] == sum(r["steady_label"] == "unknown" for r in records)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--save-events", "x"], "add --event LABEL:SECONDS"),
        (["--event", "rad:2"], "did you mean 'red'"),
        (["--smooth", "mayority"], "did you mean 'majority'"),
        (["--sink", "ftp://host/x"], "unknown sink 'ftp://host/x'"),
        (["--sink", "mqtt:///x"], "names no host"),
    ],
)
def test_an_option_that_is_not_understood_is_one_line_and_status_2(
    bundle: Path,
    clip: Path,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["stream", str(bundle), "--source", str(clip), "--headless", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_filter_cannot_be_smoothed(
    filter_bundle: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["stream", str(filter_bundle), "--source", str(clip), "--headless"]
    assert run([*command, "--smooth", "majority"]) == 2
    assert "a filter has no labels" in capsys.readouterr().err


def test_the_page_of_a_stream_answers_while_it_runs(
    bundle: Path, make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "long.mp4", [np.full((48, 64, 3), 90, np.uint8)] * 6000)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = edgecnn("stream", bundle, "--source", clip, "--headless", "--page", port)
    process = subprocess.Popen(
        [*command, "--sink", str(tmp_path / "x.mp4")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = b""
    while process.poll() is None and b"edgecnn_sink_failed" not in metrics:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            metrics = answer.read()
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert b'edgecnn_sink_failed{sink="http://127.0.0.1' in metrics
    assert f"page: http://127.0.0.1:{port}/" in error
