from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.camera import gst_binding
from edgecnn_runtime.camera.source import Captured, Source
from edgecnn_runtime.camera.sources import expand, open_source, redacted, split_name
from edgecnn_runtime.errors import InputError, SourceError


@pytest.fixture
def folder(tmp_path: Path, pan: list[NDArray[np.uint8]]) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(1, 12):
        cv2.imwrite(str(photos / f"{number}.png"), pan[number])
    return photos


def all_of(source: Source) -> list[Captured]:
    frames = []
    while (captured := source.read()) is not None:
        frames.append(captured)
    source.close()
    return frames


def test_a_video_gives_every_frame_in_order(clip: Path, pan: list[NDArray[np.uint8]]) -> None:
    source = open_source(clip)
    assert (source.name, source.is_live, source.age_from) == ("pan.mp4", False, "capture")
    assert source.fps == pytest.approx(30)
    frames = all_of(source)
    assert [c.index for c in frames] == list(range(40))
    for captured, original in zip(frames, pan, strict=True):
        assert np.abs(captured.frame.astype(int) - original).mean() < 8
    stamps = [c.stamp_ns for c in frames]
    assert stamps == sorted(stamps)


def test_a_folder_gives_its_images_in_natural_order(
    folder: Path, pan: list[NDArray[np.uint8]]
) -> None:
    frames = all_of(open_source(folder))
    assert len(frames) == 11
    for captured, original in zip(frames, pan[1:12], strict=True):
        assert (captured.frame == original).all()


def test_a_glob_gives_what_it_matches(folder: Path) -> None:
    assert len(all_of(open_source(f"{folder}/1*.png"))) == 3


def test_an_environment_variable_stands_for_a_part_of_the_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHOTOS", str(folder))
    source = open_source("${PHOTOS}/3.png")
    assert source.name == "3.png"
    assert len(all_of(source)) == 1


def test_an_unset_variable_is_named() -> None:
    with pytest.raises(InputError, match=r"\$\{NOT_SET_HERE\} is named .* but not set"):
        expand("rtsp://me:${NOT_SET_HERE}@host/")


def test_a_broken_image_in_a_folder_is_counted_said_and_skipped(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "5.png").write_bytes((folder / "5.png").read_bytes()[:-40])
    source = open_source(folder)
    frames = all_of(source)
    assert len(frames) == 10
    assert [c.index for c in frames] == list(range(10))
    assert source.errors == 1
    assert len(caplog.records) == 1
    assert "5.png is truncated" in caplog.text


def test_a_single_broken_image_is_an_error_before_anything_starts(folder: Path) -> None:
    (folder / "5.png").write_bytes(b"nothing")
    with pytest.raises(SourceError, match="is not an image"):
        open_source(folder / "5.png")


@pytest.mark.parametrize("content", [b"", b"no video" * 100])
def test_a_video_that_does_not_open_is_one_line(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.mp4").write_bytes(content)
    with pytest.raises(SourceError, match="does not open as a video") as caught:
        open_source(tmp_path / "x.mp4")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == "", "OpenCV and FFmpeg are silent"


def test_a_video_cut_short_ends_the_stream_and_is_said(
    tmp_path: Path,
    make_clip: Callable[..., Path],
    pan: list[NDArray[np.uint8]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = make_clip(tmp_path / "x.avi", pan)  # its index lies at the end, the count at the front
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = open_source(path)
    frames = all_of(source)
    assert 0 < len(frames) < 40
    assert source.errors == 1
    assert f"ends after {len(frames)} of the 40 frames" in caplog.text


def test_an_intact_video_ends_without_a_warning(
    clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        all_of(open_source(clip))
    assert not caplog.records


def test_a_scheme_that_is_not_read_names_what_is() -> None:
    with pytest.raises(SourceError, match="ftp:// is not read by this version; expected a camera"):
        open_source("ftp://me:secret@host/x.mp4")


@pytest.mark.parametrize("uri", ["csi://0", "videotestsrc ! fakesink"])
def test_an_opencv_without_gstreamer_and_no_binding_is_one_line(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gst_binding, "pythons", lambda: iter(()))
    if cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        pytest.skip("this OpenCV has GStreamer")
    with pytest.raises(SourceError, match="needs GStreamer's binding for Python") as got:
        open_source(uri)
    assert "\n" not in str(got.value)


@pytest.mark.parametrize("uri", ["rtsp://me:secret@{}/1", "http://me:secret@{}/x?token=secret"])
def test_a_camera_that_nobody_answers_for_is_one_line_without_its_password(uri: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(SourceError, match="Connection refused") as got:
        open_source(uri.format(host))
    assert "secret" not in str(got.value)
    assert "\n" not in str(got.value)


def test_a_path_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(SourceError, match=r"no such source: nothing\.mp4"):
        open_source("nothing.mp4")


def test_an_empty_folder_and_an_empty_glob_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no image in it"):
        open_source(tmp_path)
    with pytest.raises(SourceError, match="no image matches"):
        open_source(tmp_path / "*.jpg")


def test_a_source_can_be_named(tmp_path: Path) -> None:
    assert split_name("front=/dev/video0") == ("front", "/dev/video0")
    assert split_name("rtsp://h/?a=b") == (None, "rtsp://h/?a=b")
    odd = tmp_path / "a=b.mp4"
    odd.touch()
    assert split_name(str(odd)) == (None, str(odd))


def test_credentials_are_left_out_of_what_is_printed() -> None:
    assert redacted("rtsp://me:p@ss@cam:554/1") == "rtsp://***@cam:554/1"
    assert redacted("http://cam/x?token=1") == "http://cam/x?***"
    assert redacted("/data/a.mp4") == "/data/a.mp4"
