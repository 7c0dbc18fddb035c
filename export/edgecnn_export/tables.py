"""What `verify` found, as tables for people: no wider than a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgecnn_export.findings import DIFFERS, Figures, Report, Verdict

if TYPE_CHECKING:
    from rich.table import Table

    from edgecnn_export.layers import Layer

GOLDEN = "golden.npz"
HALF = ("fp16", "bf16")


def heading(bundle: str, against: str | None, data: str | None) -> str:
    """What the table's figures are differences from."""
    if against:
        return f"largest differences of {against} from {bundle}"
    first = f"; on {data}, from the first artifact's" if data else ""
    return f"{bundle}: largest differences from the workstation's answers on {GOLDEN}{first}"


def verdict_table(report: Report, data: str | None) -> Table:
    """A row for each artifact that was run, and one more for DATA."""
    ran = [v for v in report.artifacts if v.ran]
    figures = [f for v in ran for f in (v.golden, v.data) if f]
    pictures = any(f.equal is not None for f in figures)
    logit = "logit" if any(f.on_logits for f in figures) else "log p"
    names = ("levels", "equal") if pictures else ("probability", logit, "top-1", "worst")
    table = _table("artifact", "on", right=names)
    table.add_column("")
    for v in ran:
        status = f"[bold red]{v.status}[/]" if v.status == DIFFERS else v.status
        cells = [[name, *_cells(f)] for name, f in _named(v, data)] or [[""] * (len(names) + 1)]
        for index, row in enumerate(cells):
            table.add_row("" if index else v.file, *row, "" if index else status)
    return table


def notes(report: Report) -> list[str]:
    """What the figures do not tell of themselves."""
    said = []
    ran = [v for v in report.artifacts if v.ran]
    if any(v.backend.endswith("rounded to half") for v in ran):
        said.append("half precision was rounded after each layer, as on a GPU")
    if any(v.precision in HALF and v.backend == "onnxruntime" for v in ran):
        said.append("half precision was computed in FP32 on this CPU: verify it where its GPU is")
    return said


def _table(*left: str, right: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _named(verdict: Verdict, data: str | None) -> list[tuple[str, Figures]]:
    pairs = ((GOLDEN, verdict.golden), (data or GOLDEN, verdict.data))
    return [(name, figures) for name, figures in pairs if figures]


def _cells(figures: Figures) -> list[str]:
    if figures.equal is not None:
        return [f"{figures.max_abs:g}", f"{figures.equal:.4%}"]
    apart = [_short(a) for a in (figures.max_abs, figures.max_logit_share) if a is not None]
    worst = f"frame {figures.worst_frame}" if figures.max_abs else ""
    return [*apart, f"{figures.top1_agreement:.4f}", worst]


def _short(number: float) -> str:
    return f"{number:.1e}" if number else "0"


def layer_table(layers: Sequence[Layer], first: Layer | None) -> Table:
    """A row for each layer; the first that is too far off is marked."""
    table = _table("layer", right=("error", "grew", "1 - cosine", "frame"))
    table.add_column("")
    for layer in layers:
        grew = "" if layer.growth is None else f"x {layer.growth:.1f}"
        cells = [_short(layer.error), grew, _short(layer.cosine), str(layer.frame)]
        marked = layer is first
        table.add_row(layer.name, *cells, "<- first" if marked else "", style="red" * marked)
    return table
