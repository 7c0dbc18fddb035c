from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgecnn_runtime.camera.image import check_image, list_images, read_image, resize_frame
from edgecnn_runtime.errors import SourceError

Photographs = dict[str, NDArray[np.uint8]]


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def pillow(frame: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(frame[:, :, ::-1]))


def jpeg(frame: NDArray[np.uint8], **options: object) -> bytes:
    buffer = io.BytesIO()
    pillow(frame).save(buffer, "JPEG", quality=92, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm"])
def test_a_lossless_image_comes_back_as_it_was(
    tmp_path: Path, photographs: Photographs, suffix: str
) -> None:
    path = saved(tmp_path / f"x{suffix}", pillow(photographs["chelsea"]))
    check_image(path)
    assert (read_image(path) == photographs["chelsea"]).all()


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_a_lossy_image_comes_back_nearly_as_it_was(
    tmp_path: Path, photographs: Photographs, suffix: str
) -> None:
    path = saved(tmp_path / f"x{suffix}", pillow(photographs["chelsea"]), quality=95)
    check_image(path)
    difference = np.abs(read_image(path).astype(int) - photographs["chelsea"])
    assert difference.mean() < 4


@pytest.mark.parametrize("mode", ["L", "CMYK", "I;16", "RGBA", "P"])
def test_every_kind_of_pixel_becomes_8_bit_colour(
    tmp_path: Path, photographs: Photographs, mode: str
) -> None:
    original = pillow(photographs["coffee"])
    if mode == "I;16":
        image = Image.fromarray(np.asarray(original.convert("L"), np.uint16) * 257)
    else:
        image = original.convert(mode)
    path = saved(tmp_path / ("x.jpg" if mode == "CMYK" else "x.png"), image)
    frame = read_image(path)
    assert frame.dtype == np.uint8
    assert frame.shape == photographs["coffee"].shape
    expected = cv2.cvtColor(photographs["coffee"], cv2.COLOR_BGR2GRAY).mean()
    assert abs(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).mean() - expected) < 12


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_the_orientation_in_exif_is_applied(
    tmp_path: Path, photographs: Photographs, suffix: str
) -> None:
    frame = photographs["rocket"]
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn clockwise to see it so
    path = saved(tmp_path / f"x{suffix}", pillow(frame), exif=exif)
    turned = cv2.rotate(frame, cv2.ROTATE_90_CLOCKWISE)
    got = read_image(path)
    assert got.shape == turned.shape
    assert np.abs(got.astype(int) - turned).mean() < 6


@pytest.mark.parametrize("share", [0.3, 0.7, 0.999])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_a_truncated_image_is_refused_by_reader_and_check(
    tmp_path: Path, photographs: Photographs, suffix: str, share: float
) -> None:
    path = saved(tmp_path / f"x{suffix}", pillow(photographs["coffee"]))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    for read in (read_image, check_image):
        with pytest.raises(SourceError, match="truncated after"):
            read(path)


def test_the_end_mark_of_a_thumbnail_does_not_hide_a_truncated_jpeg(
    tmp_path: Path, photographs: Photographs
) -> None:
    thumbnail = jpeg(cv2.resize(photographs["coffee"], (80, 60)))
    whole = jpeg(photographs["coffee"], exif=b"Exif\0\0" + thumbnail)
    path = tmp_path / "x.jpg"
    path.write_bytes(whole)
    check_image(path)
    cut = whole[: len(whole) // 2]
    assert b"\xff\xd9" in cut
    path.write_bytes(cut)
    with pytest.raises(SourceError, match="truncated"):
        read_image(path)


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(tmp_path: Path, photographs: Photographs) -> None:
    path = tmp_path / "phone.jpg"  # phones append a second picture
    path.write_bytes(jpeg(photographs["coffee"]) + b"a second picture, cut")
    assert read_image(path).shape == photographs["coffee"].shape


def test_a_progressive_jpeg_is_read(tmp_path: Path, photographs: Photographs) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(jpeg(photographs["coffee"], progressive=True))
    assert read_image(path).shape == photographs["coffee"].shape


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no image at"), (b"", "is empty"), (b"<html>not found</html>", "is not an image")],
)
def test_what_is_not_an_image_is_named_in_one_line(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "x.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_a_folder_is_not_an_image(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a folder"):
        read_image(tmp_path)


def test_damaged_pixels_are_refused_without_a_word_of_opencv(
    tmp_path: Path, photographs: Photographs, capfd: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path / "x.png", pillow(photographs["coffee"]))
    content = bytearray(path.read_bytes())
    content[16:24] = bytes(8)  # width and height
    path.write_bytes(content)
    with pytest.raises(SourceError, match="damaged"):
        read_image(path)
    assert "OpenCV" not in capfd.readouterr().err  # libpng has a word of its own


def test_images_are_listed_in_natural_order_without_other_files(tmp_path: Path) -> None:
    for name in ("10.jpg", "9.PNG", "1.jpeg", "notes.txt", ".hidden.jpg"):
        (tmp_path / name).touch()
    assert [p.name for p in list_images(tmp_path)] == ["1.jpeg", "9.PNG", "10.jpg"]


def test_a_frame_is_resized_to_a_cameras_size(photographs: Photographs) -> None:
    assert resize_frame(photographs["coffee"], 480, 640).shape == (480, 640, 3)
    same = photographs["coffee"]
    assert resize_frame(same, *same.shape[:2]) is same
