"""The cameras of a machine and what they can give, asked of the kernel without OpenCV.

Video4Linux's calls and structures, see linux/videodev2.h: all fields have four bytes or are text,
so that they are the same on every processor.
"""

from __future__ import annotations

import errno
import json
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn_runtime.machine.access import Machine

Ioctl = Callable[[int, int, bytearray], object]  # as fcntl.ioctl, which writes the answer in place

_READ, _WRITE = 2, 1
_CAPTURE, _CAPTURE_PLANES = 1, 9  # V4L2_BUF_TYPE_VIDEO_CAPTURE and _MPLANE
_CAN_CAPTURE, _CAN_CAPTURE_PLANES, _HAS_OWN = 0x1, 0x1000, 0x80000000
_MMAP = 1
_DISCRETE = 1
_MOST = 64  # of anything that is enumerated

_QUERYCAP = struct.Struct("=16s32s32s6I")
_FMTDESC = struct.Struct("=3I32s5I")
_FRMSIZE = struct.Struct("=3I6I2I")
_FRMIVAL = struct.Struct("=5I6I2I")
_REQBUFS = struct.Struct("=5I")


def _code(direction: int, number: int, what: struct.Struct) -> int:
    return direction << 30 | what.size << 16 | ord("V") << 8 | number


QUERYCAP = _code(_READ, 0, _QUERYCAP)
ENUM_FMT = _code(_READ | _WRITE, 2, _FMTDESC)
REQBUFS = _code(_READ | _WRITE, 8, _REQBUFS)
ENUM_FRAMESIZES = _code(_READ | _WRITE, 74, _FRMSIZE)
ENUM_FRAMEINTERVALS = _code(_READ | _WRITE, 75, _FRMIVAL)

# Drivers of the connectors for sensors: what they give is raw, and is read through `csi://`.
SENSORS = ("tegra-video", "unicam", "rp1-cfe")


@dataclass(frozen=True)
class Mode:
    """A picture that a camera can give: format as MJPG, pixels, and its highest rate, if told."""

    format: str
    width: int
    height: int
    fps: float | None


@dataclass(frozen=True)
class Camera:
    """A camera, as far as it can be asked.

    Attributes:
        uri: what `--source` takes; None of what cannot be read.
        problem: why it cannot be used now, in one line; `todo` is what to do about it.
    """

    name: str
    uri: str | None = None
    driver: str = ""
    modes: tuple[Mode, ...] = ()
    problem: str | None = None
    todo: str = ""


def find_cameras(machine: Machine, ioctl: Ioctl | None = None) -> list[Camera]:
    """The cameras of a machine; on macOS and Windows their names alone.

    Args:
        ioctl: asks a driver; the kernel by default.
    """
    if machine.system == "darwin":
        return _of_macos(machine)
    if machine.system == "win32":
        return _of_windows(machine)
    if ioctl is None:
        from fcntl import ioctl as asked

        ioctl = asked
    devices = (p for p in machine.find("dev/video*") if p.name[5:].isdecimal())
    cameras: list[Camera] = []
    for device in sorted(devices, key=lambda p: int(p.name[5:])):
        sensors = sum(camera.driver in SENSORS for camera in cameras)
        camera = _examine(device, f"/dev/{device.name}", sensors, ioctl)
        if camera is not None:
            cameras.append(camera)
    return cameras


def _examine(device: Path, name: str, sensors: int, ioctl: Ioctl) -> Camera | None:
    """A device as a camera; None where it is none, as a camera's second device for its figures."""
    try:
        handle = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        return _refusing(error, device, name)
    try:
        told = _ask(ioctl, handle, QUERYCAP, _QUERYCAP, b"", b"", b"", *[0] * 6)
        driver, card = (text.split(b"\0")[0].decode(errors="replace") for text in told[:2])
        can = told[5] if told[4] & _HAS_OWN else told[4]
        if not can & (_CAN_CAPTURE | _CAN_CAPTURE_PLANES):
            return None
        kind = _CAPTURE if can & _CAN_CAPTURE else _CAPTURE_PLANES
        uri = f"csi://{sensors}" if driver in SENSORS else name
        modes = tuple(_modes(ioctl, handle, kind))
        busy = _in_use(name) if _is_busy(ioctl, handle, kind) else (None, "")
        return Camera(card or name, uri, driver, modes, *busy)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            return None  # no device of Video4Linux
        return _refusing(error, device, name)
    finally:
        os.close(handle)


def _ask(ioctl: Ioctl, handle: int, code: int, what: struct.Struct, *values: Any) -> Any:
    content = bytearray(what.pack(*values))
    ioctl(handle, code, content)
    return what.unpack(content)


def _each(ioctl: Ioctl, handle: int, code: int, what: struct.Struct, *values: Any) -> Iterator[Any]:
    """What a driver enumerates, until it says EINVAL. Zeros fill what is not given."""
    for index in range(_MOST):
        rest = [0] * (len(what.unpack(bytes(what.size))) - 1 - len(values))
        try:
            yield _ask(ioctl, handle, code, what, index, *values, *rest)
        except OSError:
            return


def _modes(ioctl: Ioctl, handle: int, kind: int) -> Iterator[Mode]:
    for index in range(_MOST):
        try:
            told = _ask(ioctl, handle, ENUM_FMT, _FMTDESC, index, kind, 0, b"", *[0] * 5)
        except OSError:
            return
        number = told[4]
        letters = (number & 0x7FFFFFFF).to_bytes(4, "little").decode("latin-1").strip()
        for size in _each(ioctl, handle, ENUM_FRAMESIZES, _FRMSIZE, number):
            # Of a range the largest: least width, largest, step, and the same of the height.
            width, height = size[3:5] if size[2] == _DISCRETE else (size[4], size[7])
            yield Mode(letters, width, height, _rate(ioctl, handle, number, width, height))
            if size[2] != _DISCRETE:
                break


def _rate(ioctl: Ioctl, handle: int, number: int, width: int, height: int) -> float | None:
    """The highest of a mode: its shortest interval, which a range begins with."""
    code = ENUM_FRAMEINTERVALS
    told = _each(ioctl, handle, code, _FRMIVAL, number, width, height)
    rates = [of[6] / of[5] for of in told if of[5]]
    return round(max(rates), 3) if rates else None


def _is_busy(ioctl: Ioctl, handle: int, kind: int) -> bool:
    """To ask for no buffers takes nothing, and fails where another program has some."""
    try:
        _ask(ioctl, handle, REQBUFS, _REQBUFS, 0, kind, _MMAP, 0, 0)
    except OSError as error:
        return error.errno == errno.EBUSY
    return False


def _in_use(name: str) -> tuple[str, str]:
    return f"{name} is in use by another program", f"fuser -v {name}   (shows which)"


def _refusing(error: OSError, device: Path, name: str) -> Camera:
    problem, todo = f"{name} does not answer: {error.strerror}", "plug it in again"
    if error.errno in (errno.EACCES, errno.EPERM):
        problem = f"{name} is not permitted to this user"
        todo = f"sudo usermod -aG {_group(device)} $USER, then log in again"
    elif error.errno == errno.EBUSY:
        problem, todo = _in_use(name)
    elif error.errno in (errno.ENODEV, errno.ENXIO, errno.ENOENT):
        problem = f"{name} has no camera behind it: it was unplugged, or its driver has failed"
    return Camera(name, name, problem=problem, todo=todo)


def _group(device: Path) -> str:
    try:
        return device.group()
    except (KeyError, OSError):
        return "video"


def _of_macos(machine: Machine) -> list[Camera]:
    try:
        told = json.loads(machine.ask("system_profiler", "-json", "SPCameraDataType"))
        return [Camera(str(one["_name"])) for one in told["SPCameraDataType"]]
    except (ValueError, KeyError, TypeError):
        return []


def _of_windows(machine: Machine) -> list[Camera]:
    query = "Get-CimInstance Win32_PnPEntity -Filter \"PNPClass='Camera' OR PNPClass='Image'\""
    said = machine.ask("powershell", "-NoProfile", "-Command", f"({query}).Name")
    return [Camera(line.strip()) for line in said.splitlines() if line.strip()]
