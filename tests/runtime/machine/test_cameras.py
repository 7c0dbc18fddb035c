"""Cameras that are not here: drivers that are put in the kernel's place, with its structures."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from rich.console import Console

from edgecnn_runtime.commands.doctor import show
from edgecnn_runtime.diagnosis import diagnose
from edgecnn_runtime.machine import cameras
from edgecnn_runtime.machine.access import Machine
from edgecnn_runtime.machine.cameras import Camera, Mode, find_cameras

# As linux/videodev2.h has them on x86 and ARM.
CODES = {
    "VIDIOC_QUERYCAP": 0x80685600,
    "VIDIOC_ENUM_FMT": 0xC0405602,
    "VIDIOC_REQBUFS": 0xC0145608,
    "VIDIOC_ENUM_FRAMESIZES": 0xC02C564A,
    "VIDIOC_ENUM_FRAMEINTERVALS": 0xC034564B,
}
CAPTURE, STREAMING, META, DEVICE_CAPS = 0x1, 0x04000000, 0x00800000, 0x80000000


T = TypeVar("T")
Sizes = Mapping[tuple[int, int], Sequence[tuple[int, int]]]  # size -> intervals


class Driver:
    """A camera's driver, answering in the kernel's own bytes."""

    def __init__(
        self,
        formats: Mapping[bytes, Sizes],
        *,
        name: bytes = b"uvcvideo",
        card: bytes = b"HD Webcam: HD Webcam",
        own: int = CAPTURE | STREAMING,
        busy: bool = False,
        stepwise: bool = False,
    ) -> None:
        self.formats, self.name, self.card, self.own = formats, name, card, own
        self.busy, self.stepwise = busy, stepwise

    def __call__(self, handle: int, code: int, answer: bytearray) -> int:
        name = next(name for name, known in CODES.items() if known == code)
        assert len(answer) == code >> 16 & 0x3FFF, "the size that the code tells"
        return {
            "VIDIOC_QUERYCAP": self.capabilities,
            "VIDIOC_ENUM_FMT": self.format,
            "VIDIOC_ENUM_FRAMESIZES": self.size,
            "VIDIOC_ENUM_FRAMEINTERVALS": self.interval,
            "VIDIOC_REQBUFS": self.buffers,
        }[name](answer)

    def capabilities(self, answer: bytearray) -> int:
        every = DEVICE_CAPS | CAPTURE | META | STREAMING  # of all its devices together
        head = self.name.ljust(16, b"\0") + self.card.ljust(32, b"\0") + bytes(32)
        answer[:] = head + struct.pack("=3I", 0x60100, every, self.own) + bytes(12)
        return 0

    def format(self, answer: bytearray) -> int:
        index, kind = struct.unpack_from("=2I", answer)
        assert kind == 1
        letters = found(list(self.formats), index)
        answer[44:48] = letters
        return 0

    def size(self, answer: bytearray) -> int:
        index, _ = struct.unpack_from("=2I", answer)
        sizes = list(self.formats[bytes(answer[4:8])])
        width, height = found(sizes, index)
        if self.stepwise:
            found([1], index)
            struct.pack_into("=7I", answer, 8, 3, 16, width, 16, 16, height, 16)
        else:
            struct.pack_into("=3I", answer, 8, 1, width, height)
        return 0

    def interval(self, answer: bytearray) -> int:
        index, _, width, height = struct.unpack_from("=4I", answer)
        intervals = self.formats[bytes(answer[4:8])][width, height]
        numerator, denominator = found(list(intervals), index)
        struct.pack_into("=3I", answer, 16, 1, numerator, denominator)
        return 0

    def buffers(self, answer: bytearray) -> int:
        count, kind, memory = struct.unpack_from("=3I", answer)
        assert (count, kind, memory) == (0, 1, 1), "it takes nothing from anybody"
        if self.busy:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return 0


def found(known: Sequence[T], index: int) -> T:
    if index >= len(known):
        raise OSError(errno.EINVAL, "Invalid argument")
    return known[index]


WEBCAM: Mapping[bytes, Sizes] = {
    b"MJPG": {(1920, 1080): [(1, 30)], (640, 480): [(1, 30), (1, 60)]},
    b"YUYV": {(640, 480): [(1, 30), (1001, 30000)], (1280, 720): []},
}


@pytest.fixture
def device(tmp_path: Path) -> Callable[..., Machine]:
    """A machine with so many devices."""

    def make(*numbers: int) -> Machine:
        (tmp_path / "dev").mkdir()
        for number in numbers:
            (tmp_path / f"dev/video{number}").touch()
        return Machine(tmp_path, "linux")

    return make


def by_device(**drivers: Driver) -> Callable[[int, int, bytearray], int]:
    """The kernel: which driver answers, the open file tells."""

    def ioctl(handle: int, code: int, answer: bytearray) -> int:
        name = Path(f"/proc/self/fd/{handle}").readlink().name
        return drivers[name](handle, code, answer)

    return ioctl


def test_the_codes_are_those_of_the_kernel() -> None:
    ours = {name: getattr(cameras, name.removeprefix("VIDIOC_")) for name in CODES}
    assert ours == CODES


def test_a_camera_tells_its_name_its_formats_and_its_highest_rates(
    device: Callable[..., Machine],
) -> None:
    (camera,) = find_cameras(device(0), Driver(WEBCAM))
    assert camera == Camera(
        "HD Webcam: HD Webcam",
        "/dev/video0",
        "uvcvideo",
        (
            Mode("MJPG", 1920, 1080, 30.0),
            Mode("MJPG", 640, 480, 60.0),
            Mode("YUYV", 640, 480, 30.0),
            Mode("YUYV", 1280, 720, None),
        ),
    )


def test_the_second_device_of_a_camera_and_what_is_no_camera_are_left_out(
    device: Callable[..., Machine],
) -> None:
    figures = Driver({}, own=META | STREAMING)
    kernel = by_device(video0=Driver(WEBCAM), video1=figures)
    assert [c.uri for c in find_cameras(device(0, 1), kernel)] == ["/dev/video0"]


def test_a_file_that_is_no_device_is_left_out_by_the_kernel_itself(
    device: Callable[..., Machine],
) -> None:
    assert find_cameras(device(0)) == []


def test_a_range_of_sizes_is_told_by_its_largest(device: Callable[..., Machine]) -> None:
    driver = Driver({b"NV12": {(3280, 2464): [(1, 21)]}}, stepwise=True)
    (camera,) = find_cameras(device(0), driver)
    assert camera.modes == (Mode("NV12", 3280, 2464, 21.0),)


def test_sensors_of_a_jetson_are_counted_as_csi(device: Callable[..., Machine]) -> None:
    raw: Mapping[bytes, Sizes] = {b"RG10": {(3280, 2464): [(1, 21)], (1280, 720): [(1, 60)]}}
    sensor = Driver(raw, name=b"tegra-video", card=b"vi-output, imx219 9-0010")
    kernel = by_device(video0=sensor, video1=Driver(WEBCAM), video2=sensor)
    found_here = find_cameras(device(0, 1, 2), kernel)
    assert [c.uri for c in found_here] == ["csi://0", "/dev/video1", "csi://1"]
    assert found_here[0].name == "vi-output, imx219 9-0010"


def test_a_camera_in_use_says_so_and_still_tells_what_it_can(
    device: Callable[..., Machine],
) -> None:
    (camera,) = find_cameras(device(3), Driver(WEBCAM, busy=True))
    assert camera.problem == "/dev/video3 is in use by another program"
    assert camera.todo.startswith("fuser -v /dev/video3")
    assert len(camera.modes) == 4


@pytest.mark.parametrize(
    ("number", "problem", "todo"),
    [
        (errno.EACCES, "/dev/video0 is not permitted to this user", "sudo usermod -aG"),
        (errno.EBUSY, "/dev/video0 is in use by another program", "fuser -v /dev/video0"),
        (errno.ENODEV, "/dev/video0 has no camera behind it", "plug it in again"),
        (errno.EIO, "/dev/video0 does not answer: Input/output error", "plug it in again"),
    ],
)
def test_a_camera_that_does_not_open_is_one_line(
    device: Callable[..., Machine],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    problem: str,
    todo: str,
) -> None:
    def refuse(path: object, flags: int) -> int:
        raise OSError(number, os.strerror(number))

    machine = device(0)
    monkeypatch.setattr(cameras.os, "open", refuse)
    (camera,) = find_cameras(machine, Driver(WEBCAM))
    assert camera.problem is not None
    assert camera.problem.startswith(problem)
    assert camera.todo.startswith(todo)


def test_the_doctor_lists_cameras_and_what_is_wrong_with_one(
    device: Callable[..., Machine],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine = device(0)
    monkeypatch.setattr("fcntl.ioctl", Driver(WEBCAM, busy=True))
    diagnosis = diagnose(machine, imports=lambda probes: dict.fromkeys(probes, (None, "absent")))
    show(diagnosis, Console(width=120, highlight=False))
    out = capsys.readouterr().out
    assert "/dev/video0  HD Webcam: HD Webcam (uvcvideo)" in out
    assert "MJPG  1920x1080 at 30, 640x480 at 60" in out
    assert "/dev/video0 is in use by another program" in out


def test_macos_tells_the_names_alone() -> None:
    said = '{"SPCameraDataType": [{"_name": "FaceTime HD Camera", "spcamera_unique-id": "0x1"}]}'
    asked: list[tuple[str, ...]] = []
    machine = Machine(system="darwin", ask=lambda *command: asked.append(command) or said)
    assert find_cameras(machine) == [Camera("FaceTime HD Camera")]
    assert asked[0][0] == "system_profiler"


def test_windows_tells_the_names_alone() -> None:
    machine = Machine(system="win32", ask=lambda *command: "Integrated Camera\r\nUSB Cam\r\n")
    assert find_cameras(machine) == [Camera("Integrated Camera"), Camera("USB Cam")]


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_where_nothing_is_told_there_are_none(system: str) -> None:
    assert find_cameras(Machine(system=system, ask=lambda *command: "")) == []
