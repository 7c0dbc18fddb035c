"""Whether the CPU's threads sleep between frames, and who is told."""

from __future__ import annotations

import json
from pathlib import Path
from time import process_time, sleep
from typing import Any

import pytest

from edgecnn_runtime.backends import in_flight, power_of
from edgecnn_runtime.backends.switching import SwitchingBackend
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.cli import run
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.stream.loop import Stream

ENTRY = "session.force_spinning_stop"


def sleeps(backend: Any) -> bool:
    """Whether ONNX Runtime was told to let its threads sleep after each run."""
    options = backend._session.get_session_options()
    try:
        return bool(options.get_session_config_entry(ENTRY) == "1")
    except RuntimeError:  # never set
        return False


def test_a_stream_that_is_told_nothing_leaves_the_classifier_as_it_is(
    classify: Classifier, clip: Path
) -> None:
    stream = Stream(classify, clip, frames=2)
    assert len(list(stream)) == 2
    assert stream.summary().power == power_of(classify.backend) == "save"
    assert sleeps(classify.backend)


def test_a_stream_changes_how_the_threads_wait_and_no_answer(
    classify: Classifier, clip: Path
) -> None:
    before = [r.predictions for r in Stream(classify, clip, frames=5, power="save")]
    stream = Stream(classify, clip, frames=5, power="latency")
    assert [r.predictions for r in stream] == before
    assert stream.summary().power == "latency"
    assert not sleeps(classify.backend)


def test_threads_that_sleep_cost_nothing_between_frames(bundle: Path, clip: Path) -> None:
    with Classifier.open(bundle, threads=2) as classify:
        spent = {power: _idle_cpu_seconds(classify, clip, power) for power in ("save", "latency")}
    assert spent["save"] < 0.5 * spent["latency"], spent


def _idle_cpu_seconds(classify: Classifier, clip: Path, power: str) -> float:
    """CPU time of this process in the pauses after ten frames."""
    spent = 0.0
    for _ in Stream(classify, clip, frames=10, power=power):
        began = process_time()
        sleep(0.05)
        spent += process_time() - began
    return spent


def test_what_takes_the_place_of_another_is_asked_too(classify: Classifier) -> None:
    assert power_of(SwitchingBackend(classify.backend)) == "save"


def test_a_power_that_is_none_is_one_line(classify: Classifier, clip: Path) -> None:
    with pytest.raises(InputError, match="unknown power 'saev'; did you mean 'save'"):
        Stream(classify, clip, power="saev")


def test_a_camera_cannot_be_run_for_throughput(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = ["--source", "synthetic://?size=160x120", "--headless"]
    assert run(["stream", str(bundle), *source, "--power", "throughput"]) == 2
    assert "a live source has only its newest" in capsys.readouterr().err


def test_a_file_runs_a_frame_on_each_core_when_the_stream_asks_for_it(
    bundle: Path, clip: Path
) -> None:
    with Classifier.open(bundle, threads=2) as classify:
        before = [r.predictions for r in Stream(classify, clip)]
        stream = Stream(classify, clip, power="throughput")
        assert [r.predictions for r in stream] == before
        assert in_flight(classify.backend) == 3
        assert stream.summary().power == "throughput"


@pytest.mark.parametrize(
    ("source", "options", "power"),
    [
        ("synthetic://?size=160x120", [], "save"),
        ("synthetic://?size=160x120", ["--power", "latency"], "latency"),
        ("CLIP", [], "throughput"),
        ("CLIP", ["--power", "latency"], "latency"),
        ("CLIP", ["--power", "save"], "save"),
        ("CLIP", ["--fps", "200"], "save"),
    ],
)
def test_cameras_save_and_files_do_not_and_it_is_said(
    bundle: Path,
    clip: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    source: str,
    options: list[str],
    power: str,
) -> None:
    result = tmp_path / "x.json"
    uri = source.replace("CLIP", str(clip))
    command = ["stream", str(bundle), "--source", uri, "--headless", "--frames", "3"]
    assert run([*command, *options, "--json", str(result)]) == 0
    assert f"power {power}: the CPU's threads" in capsys.readouterr().out
    assert json.loads(result.read_text())["power"] == power


def test_an_unknown_power_on_the_command_line_is_one_line(
    bundle: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["stream", str(bundle), "--source", str(clip), "--headless", "--power", "full"]
    assert run(command) == 2
    assert (
        "unknown power 'full'; expected one of: save, latency, throughput"
        in capsys.readouterr().err
    )
