"""The verb `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecnn_runtime.console import JsonOption, console, write_result

if TYPE_CHECKING:
    from rich.console import Console

    from edgecnn_runtime.diagnosis import Diagnosis


def command(json: JsonOption = None) -> int:
    """What this machine can do, and what to install."""
    from edgecnn_runtime.diagnosis import diagnose

    diagnosis = diagnose()
    _print(diagnosis, console(json))
    write_result(diagnosis, json)
    return 0 if diagnosis.is_well else 1


def _print(diagnosis: Diagnosis, out: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    rows = {
        "edgecnn": diagnosis.edgecnn,
        "Python": diagnosis.python,
        "platform": diagnosis.platform,
        "processor": f"{diagnosis.cpu}, {diagnosis.cores} cores",
        "GPU, driver, capability": "\n".join(diagnosis.gpus) or "none that nvidia-smi knows",
        "ONNX Runtime, providers": diagnosis.loads["onnxruntime"] or "does not load",
        "OpenCV": diagnosis.loads["cv2"] or "does not load",
        "cameras": ", ".join(diagnosis.cameras) or "none under /dev/video*",
        "window": diagnosis.window or "can be shown",
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in rows.items():
        table.add_row(Text(name, style="bold"), Text(value))
    for name, number in diagnosis.packages.items():
        table.add_row(Text(f"  {name}"), Text(number or "-", style="" if number else "dim"))
    out.print(table, soft_wrap=False)
    for problem in diagnosis.problems:
        mark = Text("problem  " if problem.serious else "missing  ")
        mark.stylize("bold red" if problem.serious else "yellow")
        out.print(mark + Text(f"{problem.what}\n         {problem.do}"))
    if diagnosis.is_well:
        out.print("The runtime can run here.")
