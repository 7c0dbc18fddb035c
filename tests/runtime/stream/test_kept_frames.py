from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.classifier import Classifier, Prediction
from edgecnn_runtime.stream.kept_frames import NAME_BYTES, is_uncertain, plain_name
from edgecnn_runtime.stream.loop import Stream
from edgecnn_runtime.stream.result import Event, Result
from edgecnn_runtime.stream.run import StreamReport, run_stream
from edgecnn_runtime.stream.similar import LEVELS, difference, thumbnail
from edgecnn_runtime.stream.sinks import open_sinks
from edgecnn_runtime.stream.steady import Steady


def streamed(classify: Classifier, clip: Path, uri: str, steady: Steady) -> StreamReport:
    return run_stream(Stream(classify, clip), open_sinks([uri], lossless=True), steady=steady)


def test_the_frame_of_an_event_is_kept_as_an_image_named_by_time_and_label(
    classify: Classifier, clip: Path, tmp_path: Path, results: list[Result]
) -> None:
    label = results[0].best.label
    report = streamed(classify, clip, f"events:{tmp_path / 'e'}", Steady(events=[f"{label}:0"]))
    (kept,) = (tmp_path / "e").iterdir()
    assert kept.name.endswith(f"Z_pan.mp4_0_{label}.jpg")
    image = cv2.imread(str(kept))
    assert image is not None
    assert np.abs(image.astype(int) - results[0].frame).mean() < 3
    assert report.sinks[0].frames == 1


def uncertain(results: list[Result]) -> list[Result]:
    unsure = [Prediction(0, "a/b", 0.5), Prediction(1, "c", 0.4)]
    return [replace(r, predictions=unsure) for r in results]


def test_uncertain_frames_are_kept_but_not_those_that_show_the_same(
    results: list[Result], tmp_path: Path
) -> None:
    (sink,) = open_sinks([f"uncertain:{tmp_path}"], lossless=True)
    standing = [replace(results[-1], index=i) for i in range(40, 60)]
    for result in uncertain([*results, *standing]):
        sink.put(result)
    sink.close()
    kept = sorted(tmp_path.iterdir())
    assert 1 < len(kept) <= 40
    assert all(path.name.endswith("0.50_a-b.jpg") for path in kept)


def test_a_limit_of_the_disk_removes_the_oldest_uncertain_frames(
    results: list[Result], tmp_path: Path
) -> None:
    (sink,) = open_sinks([f"uncertain:{tmp_path}?keep_mb=0.02"], lossless=True)
    for result in uncertain(results):
        sink.put(result)
    sink.close()
    kept = sorted(tmp_path.iterdir())
    assert 0 < sum(path.stat().st_size for path in kept) <= 20_000
    assert int(kept[0].name.split("_")[2]) > 0


def test_a_full_disk_ends_keeping_frames_and_not_the_stream(
    classify: Classifier, clip: Path, small_disk: Callable[[str], Path]
) -> None:
    label = "red"
    folder = small_disk("4k")
    (folder / "filler").write_bytes(bytes(4096))
    steady = Steady(events=[f"{label}:0", "green:0", "blue:0"])
    report = streamed(classify, clip, f"events:{folder}", steady)
    assert report.frames == 40
    assert report.sinks[0].error == "No space left on device"
    assert [path.name for path in folder.iterdir()] == ["filler"]


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [((0.9, 0.05), False), ((0.55, 0.1), True), ((0.45, 0.4), True), ((0.62, 0.38), False)],
)
def test_an_answer_is_uncertain_when_it_is_improbable_or_closely_followed(
    results: list[Result], probabilities: tuple[float, float], expected: bool
) -> None:
    predictions = [Prediction(i, "x", p) for i, p in enumerate(probabilities)]
    assert is_uncertain(replace(results[0], predictions=predictions)) is expected


def test_noise_exposure_and_compression_are_the_same_frame_and_a_step_aside_is_not(
    photographs: dict[str, NDArray[np.uint8]],
) -> None:
    random = np.random.default_rng(3)
    for frame in photographs.values():
        scene = np.ascontiguousarray(cv2.resize(frame, (640, 480))[:, :520])
        aside = np.ascontiguousarray(cv2.resize(frame, (640, 480))[:, 120:])
        noisy = np.clip(scene + random.normal(0, 8, scene.shape), 0, 255).astype(np.uint8)
        brighter = cv2.convertScaleAbs(scene, alpha=1.0, beta=8)
        done, packed = cv2.imencode(".jpg", scene, [cv2.IMWRITE_JPEG_QUALITY, 50])
        assert done
        repacked = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        for same in (noisy, brighter, repacked):
            assert difference(thumbnail(scene), thumbnail(np.asarray(same, np.uint8))) < LEVELS / 2
        assert difference(thumbnail(scene), thumbnail(aside)) > LEVELS * 1.5


def test_different_photographs_are_far_apart(photographs: dict[str, NDArray[np.uint8]]) -> None:
    small = [thumbnail(frame) for frame in photographs.values()]
    for i, one in enumerate(small):
        for other in small[i + 1 :]:
            assert difference(one, other) > 4 * LEVELS


def test_events_of_one_frame_are_all_kept(results: list[Result], tmp_path: Path) -> None:
    utc = results[0].captured_at
    both = replace(results[0], events=(Event("a", 1, utc), Event("b", 2, utc)))
    (sink,) = open_sinks([f"events:{tmp_path}"], lossless=True)
    sink.put(both)
    sink.put(results[1])
    assert sink.close().frames == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_long_names_are_cut_between_letters() -> None:
    assert plain_name("rtsp://host/a b") == "rtsp-host-a-b"
    assert plain_name("\N{CYRILLIC SMALL LETTER ZHE}" * 100) == "\N{CYRILLIC SMALL LETTER ZHE}" * 45
    assert len(plain_name("x" * 300).encode()) == NAME_BYTES
    assert plain_name("../..") == "x"
