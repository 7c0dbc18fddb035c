"""A Jetson's board, JetPack and power mode, read without root."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgecnn_runtime.machine.access import Machine

# https://developer.nvidia.com/embedded/jetpack-archive: JetPack by the major of Jetson Linux
_JETPACKS = {34: "5", 35: "5", 36: "6", 38: "7"}
_BROUGHT = ("cv2", "numpy", "tensorrt")


@dataclass(frozen=True)
class PowerMode:
    """A mode of `nvpmodel`: how many cores are on and how high the clocks may go."""

    number: int
    name: str


@dataclass(frozen=True)
class Jetson:
    """A Jetson.

    Attributes:
        board: as its device tree names it.
        linux: release of Jetson Linux (L4T), `36.4.3`.
        jetpack: release of JetPack, in full where its package is installed, else the major alone.
        power_mode: the present one; None where it cannot be read.
        power_modes: all that this board has, by number.
        packages: what JetPack and Ubuntu installed for the system's Python, of what matters here.
    """

    board: str
    linux: str
    jetpack: str | None
    power_mode: PowerMode | None
    power_modes: tuple[PowerMode, ...]
    packages: tuple[str, ...]

    @property
    def fastest(self) -> PowerMode | None:
        """The mode without caps, which NVIDIA names MAXN or MAXN_SUPER."""
        return next((mode for mode in self.power_modes if mode.name.startswith("MAXN")), None)


def find_jetson(machine: Machine | None = None) -> Jetson | None:
    """The Jetson that this is, None on any other machine."""
    machine = machine or Machine()
    release = re.search(
        r"R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)", machine.text("etc/nv_tegra_release")
    )
    if release is None:
        return None
    package = re.match(
        r"\d+(\.\d+)*",
        machine.ask("dpkg-query", "--show", "--showformat=${Version}", "nvidia-jetpack"),
    )
    modes = _modes(machine)
    return Jetson(
        board=machine.text("proc/device-tree/model") or "a Jetson",
        linux=f"{release[1]}.{release[2]}",
        jetpack=package[0] if package else _JETPACKS.get(int(release[1])),
        power_mode=_mode(machine, modes),
        power_modes=modes,
        packages=tuple(
            name for name in _BROUGHT if machine.find(f"usr/lib/python3*/dist-packages/{name}")
        ),
    )


def _modes(machine: Machine) -> tuple[PowerMode, ...]:
    found = re.findall(r"POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)", machine.text("etc/nvpmodel.conf"))
    return tuple(PowerMode(int(number), name) for number, name in found)


def _mode(machine: Machine, modes: tuple[PowerMode, ...]) -> PowerMode | None:
    """From `nvpmodel -q`, or from the file where the mode is kept over a restart."""
    said = re.search(r"NV Power Mode: (\S+)\s+(\d+)", machine.ask("nvpmodel", "-q"))
    if said:
        return PowerMode(int(said[2]), said[1])
    kept = re.search(r"pmode:(\d+)", machine.text("var/lib/nvpmodel/status"))
    return next((mode for mode in modes if kept and mode.number == int(kept[1])), None)
