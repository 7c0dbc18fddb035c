"""The verb `doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgecnn_runtime.console import JsonOption, console, write_result

if TYPE_CHECKING:
    from rich.console import Console

    from edgecnn_runtime.diagnosis import Diagnosis

_STYLES = {"problem": "bold red", "missing": "yellow", "advice": "cyan"}


def command(json: JsonOption = None) -> int:
    """What this machine can do, and what to install."""
    from edgecnn_runtime.diagnosis import diagnose

    diagnosis = diagnose()
    show(diagnosis, console(json))
    write_result(diagnosis, json)
    return 0 if diagnosis.is_well else 1


def show(diagnosis: Diagnosis, out: Console) -> None:
    """Print a diagnosis as people read it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in _rows(diagnosis).items():
        table.add_row(Text(name, style="bold"), Text(value))
    for name, number in diagnosis.packages.items():
        table.add_row(Text(f"  {name}"), Text(number or "-", style="" if number else "dim"))
    out.print(table, soft_wrap=False)
    for problem in diagnosis.problems:
        mark = Text(f"{problem.kind:9}", style=_STYLES[problem.kind])
        out.print(mark + Text(f"{problem.what}\n         {problem.do}"))
    if diagnosis.is_well:
        out.print("The runtime can run here.")


def _rows(found: Diagnosis) -> dict[str, str]:
    rows = {
        "edgecnn": found.edgecnn,
        "Python": f"{found.python}, packages of the {found.environment}",
        "platform": found.platform,
        "processor": f"{found.cpu}, {found.cores} cores",
    }
    if found.jetson:
        mode = found.jetson.power_mode
        rows["Jetson"] = (
            f"{found.jetson.board}, JetPack {found.jetson.jetpack or 'unknown'}"
            f" (Jetson Linux {found.jetson.linux})"
        )
        rows["power mode"] = f"{mode.name} ({mode.number})" if mode else "cannot be read"
    clocks = [
        f"{c.name}: {c.now_mhz} of {c.least_mhz} to {c.most_mhz} MHz"
        + (f" (hardware {c.hardware_mhz})" if c.hardware_mhz > c.most_mhz else "")
        + f", {'locked' if c.is_locked else c.governor}"
        for c in found.clocks
    ]
    if clocks:
        rows["clocks"] = "\n".join(clocks)
    driver = found.driver
    cuda = f"CUDA up to {driver.cuda}" if driver.cuda else "without its library"
    rows["driver"] = (
        f"{driver.version or 'release unknown'}, {cuda}"
        if (driver.version or driver.cuda)
        else "none of NVIDIA's"
    )
    rows["GPU"] = (
        "\n".join(
            f"{gpu.name}, {gpu.target}, {gpu.memory_mb / 1024:.1f} GiB" for gpu in driver.gpus
        )
        or f"none: {driver.why}"
    )
    for name, label in (
        ("tensorrt", "TensorRT"),
        ("tensorrt_rtx", "TensorRT-RTX"),
        ("cuda", "cuda-bindings"),
        ("pycuda", "pycuda"),
        ("onnxruntime", "ONNX Runtime, providers"),
        ("openvino", "OpenVINO, devices"),
        ("cv2", "OpenCV"),
    ):
        rows[label] = found.loads[name] or (
            "does not load" if name in found.broken else "not installed"
        )
    rows["cameras"] = "\n".join(_cameras(found))
    rows["window"] = found.window or "can be shown"
    return rows


def _cameras(found: Diagnosis) -> Iterator[str]:
    """A line for each camera, and one for each of its formats."""
    if found.system != "linux":
        yield from (camera.name for camera in found.cameras)
        yield "by number: --source 0; what they can give is told on Linux alone"
    elif not found.cameras:
        yield "none under /dev/video*"
    for camera in found.cameras if found.system == "linux" else ():
        yield f"{camera.uri}  {camera.name}" + (f" ({camera.driver})" if camera.driver else "")
        for format in dict.fromkeys(mode.format for mode in camera.modes):
            sizes = [
                f"{mode.width}x{mode.height}" + (f" at {mode.fps:g}" if mode.fps else "")
                for mode in camera.modes
                if mode.format == format
            ]
            yield f"  {format}  {', '.join(sizes)}"
