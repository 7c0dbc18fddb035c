"""The files of a sweep: CSV, JSON, pictures, and a report as Markdown and as one HTML page."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec

from edgecnn.visualization.front import INK, draw_front, draw_latency
from edgecnn.visualization.pictures import save_picture
from edgecnn_export.sweep.report import Part, Picture, Table, Text, dots, report
from edgecnn_export.sweep.sweep import Sweep
from edgecnn_runtime.bundle import atomic_write

STYLE = """
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --soft: #666; --line: #ddd;
  --mark: #fff3d6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #15171a; --soft: #a0a0a0; --line: #3a3d42; --mark: #3d3215; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 75rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
p { max-width: 45rem; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2rem; }
figure { margin: 1rem 0; } figure svg { width: 100%; max-width: 40rem; height: auto; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { color: var(--soft); font-weight: 600; }
th:first-child, td:first-child { text-align: left; padding-left: 0; position: sticky; left: 0;
  background: var(--paper); }
tr.mark td { background: var(--mark); font-weight: 600; }
"""


def write_files(
    found: Sweep, out: Path, *, budget_ms: float | None = None, min_top1: float | None = None
) -> list[str]:
    """Write everything for people and programs into a sweep's folder; the names of the files."""
    encoded = msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"
    atomic_write(out / "result.json", encoded)
    atomic_write(out / "table.csv", as_csv(found).encode())
    files = ["result.json", "table.csv"]
    shown = dots(found)
    title = f"{found.model} on {found.data}"
    if shown:
        figures = {"latency": draw_latency(shown, title=title)}
        if any(dot.top1 is not None for dot in shown):
            figures["pareto"] = draw_front(shown, title=title)
        for name, figure in figures.items():
            save_picture(figure, out / f"{name}.svg")
            figure.patch.set(alpha=1, facecolor="white")
            save_picture(figure, out / f"{name}.png")
            files += [f"{name}.svg", f"{name}.png"]
    parts = report(found, budget_ms, min_top1)
    atomic_write(out / "report.md", as_markdown(parts).encode())
    atomic_write(out / "report.html", as_html(parts, out).encode())
    return [*files, "report.md", "report.html"]


def as_csv(found: Sweep) -> str:
    """A line for each variant; engines as one column of bytes for each target."""
    targets = list(dict.fromkeys(e.target for row in found.variants for e in row.engines))
    lines = []
    for row in found.variants:
        values = asdict(row)
        engines = {engine.target: engine.bytes for engine in row.engines}
        del values["engines"]
        lines.append({**values, **{f"engine_bytes_{t}": engines.get(t, "") for t in targets}})
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def as_markdown(parts: Sequence[Part]) -> str:
    """The report for a repository."""
    blocks = []
    for number, part in enumerate(parts):
        if isinstance(part, Text):
            level = "# " if number == 0 else "## "
            blocks.append(f"{level}{part.content}" if part.heading else part.content)
        elif isinstance(part, Picture):
            blocks.append(f"![{part.text}]({part.file})")
        else:
            blocks.append(_markdown_table(part))
    return "\n\n".join(blocks) + "\n"


def _markdown_table(table: Table) -> str:
    rule = "|".join(["---", *["---:"] * (len(table.header) - 1)])
    lines = [f"| {' | '.join(table.header)} |", f"|{rule}|"]
    for number, row in enumerate(table.rows):
        cells = [f"**{cell}**" if number in table.marked and cell else cell for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    title = [f"**{table.title}**", ""] if table.title else []
    return "\n".join([*title, *lines])


def as_html(parts: Sequence[Part], folder: Path) -> str:
    """The report as one page that loads nothing; pictures take the page's ink.

    Args:
        folder: where its pictures lie.
    """
    (title, *rest) = parts
    assert isinstance(title, Text)
    body = [f"<h1>{html.escape(title.content)}</h1>"]
    for part in rest:
        if isinstance(part, Text):
            tag = "h2" if part.heading else "p"
            body.append(f"<{tag}>{html.escape(part.content)}</{tag}>")
        elif isinstance(part, Picture):
            body.append(_inline(folder / part.file, part.text))
        else:
            body.append(_html_table(part))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title.content)}</title>\n<style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _inline(file: Path, text: str) -> str:
    """A picture of ours inside of the page: without its header, in the colour of the text."""
    svg = file.read_text(encoding="utf-8")
    svg = svg[svg.index("<svg ") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Two pictures of one page must not share the names of their parts.
    svg = svg.replace('id="', f'id="{file.stem}-').replace("url(#", f"url(#{file.stem}-")
    svg = svg.replace('href="#', f'href="#{file.stem}-')
    label = html.escape(text, quote=True)
    return f'<figure role="img" aria-label="{label}">{svg}</figure>'


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in table.header)
    lines = []
    for number, row in enumerate(table.rows):
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        mark = ' class="mark"' if number in table.marked else ""
        lines.append(f"<tr{mark}>{cells}</tr>")
    caption = f"<caption>{html.escape(table.title)}</caption>" if table.title else ""
    return (
        f'<div class="table"><table>{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )
