"""Charts as SVG text, coloured by the page they stand in. No library: a device has none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 420, 260  # drawn small, so that letters stay readable on a phone
LEFT, RIGHT, TOP, BOTTOM = 48, 10, 10, 38
Point = tuple[float, float]
_DIGITS: tuple[tuple[float, ...], ...] = (
    (1, 1.2, 1.5, 2, 3, 4, 5, 6, 8),
    (1, 1.5, 2, 3, 5, 7),
    (1, 2, 5),
    (1, 3),
    (1,),
)


@dataclass(frozen=True)
class Scale:
    """From values to places on an axis."""

    low: float
    high: float
    begin: float
    end: float
    is_log: bool = False

    def at(self, value: float) -> float:
        """The place of a value; beyond the ends it is at the end."""
        value = min(max(value, self.low), self.high)
        if self.is_log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(self.begin + share * (self.end - self.begin), 1)

    def ticks(self) -> list[float]:
        """Round values between the ends, seven at most."""
        if not self.is_log:
            step = 10 ** math.floor(math.log10((self.high - self.low) / 2))
            step *= next(n for n in (1, 2, 5, 10) if (self.high - self.low) / (n * step) <= 7)
            first = math.ceil(self.low / step - 1e-9)
            return [n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1)]
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for digits in _DIGITS:
            found = [d * 10.0**n for n in decades for d in digits]
            found = [value for value in found if self.low <= value <= self.high]
            if len(found) <= 7:
                return found
        return found[:: len(found) // 7 + 1]


def x_scale(values: Sequence[float], *, is_log: bool = False) -> Scale:
    """Across the chart, wide enough for the values."""
    return Scale(*_ends(values, is_log), LEFT, WIDTH - RIGHT, is_log)


def y_scale(values: Sequence[float], *, is_log: bool = False) -> Scale:
    """From the bottom of the chart upwards."""
    return Scale(*_ends(values, is_log), HEIGHT - BOTTOM, TOP, is_log)


def _ends(values: Sequence[float], is_log: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if is_log:
        low = max(low, 1e-9)
        return low * 0.95, max(high, low * 1.2) * 1.05
    return low, high if high > low else low + 1.0


def number(value: float) -> str:
    """As an axis shows it."""
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value:g}" if value < 10_000 else f"{value / 1e3:g}k"


class Chart:
    """Two axes and what is drawn between them.

    Args:
        describes: for those who cannot see it.
        x_names: ticks of the x axis by name instead of by number.
    """

    def __init__(
        self,
        describes: str,
        x: Scale,
        y: Scale,
        x_label: str,
        y_label: str,
        x_names: dict[float, str] | None = None,
    ) -> None:
        self.x, self.y = x, y
        self._describes = describes
        self._parts: list[str] = []
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        for value, name in (x_names or {v: number(v) for v in x.ticks()}).items():
            place = x.at(value)
            self._parts.append(f'<path class="grid" d="M{place} {TOP}V{bottom}"/>')
            self.text((place, bottom + 14), name, "middle")
        for value in y.ticks():
            place = y.at(value)
            self._parts.append(f'<path class="grid" d="M{LEFT} {place}H{right}"/>')
            self.text((LEFT - 5, place + 4), number(value), "end")
        self.text(((LEFT + right) / 2, HEIGHT - 6), x_label, "middle")
        middle = (TOP + bottom) / 2
        self._parts.append(
            f'<text text-anchor="middle" transform="translate(11 {middle}) rotate(-90)">'
            f"{escape(y_label)}</text>"
        )

    def text(self, place: Point, words: str, anchor: str = "start") -> None:
        x, y = place
        self._parts.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>')

    def line(self, points: Sequence[Point], color: str, *, closed: bool = False) -> None:
        """Through points of the axes; `closed` down to the x axis and filled."""
        path = "L".join(f"{self.x.at(x)} {self.y.at(y)}" for x, y in points)
        floor = HEIGHT - BOTTOM
        ends = self.x.at(points[-1][0]), self.x.at(points[0][0])
        area = f"L{ends[0]} {floor}L{ends[1]} {floor}Z" if closed else ""
        kind = "area" if closed else "line"
        self._parts.append(f'<path class="{kind} {color}" d="M{path}{area}"/>')

    def dot(self, point: Point, color: str, radius: float, words: str) -> None:
        x, y = self.x.at(point[0]), self.y.at(point[1])
        self._parts.append(
            f'<circle class="dot {color}" cx="{x}" cy="{y}" r="{radius:.1f}">'
            f"<title>{escape(words)}</title></circle>"
        )

    def svg(self) -> str:
        return _svg(self._describes, HEIGHT, self._parts)


def _svg(describes: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(describes)}">'
        + "".join(parts)
        + "</svg>"
    )


def bars(describes: str, rows: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> str:
    """Stacked bars, one below the other: (name, its parts of (CSS class, length))."""
    row, top = 34, 4
    most = max(sum(length for _, length in parts) for _, parts in rows) or 1.0
    drawn = []
    for i, (name, parts) in enumerate(rows):
        y, x = top + i * row, 0.0
        drawn.append(f'<text x="0" y="{y + 10}">{escape(name)}</text>')
        for color, length in parts:
            wide = length / most * (WIDTH - 70)
            drawn.append(
                f'<rect class="fill {color}" x="{x:.1f}" y="{y + 14}" width="{max(wide, 0.5):.1f}"'
                f' height="13"><title>{length:.4g} ms</title></rect>'
            )
            x += wide
        total = sum(length for _, length in parts)
        drawn.append(f'<text x="{x + 4:.1f}" y="{y + 25}">{total:.4g} ms</text>')
    return _svg(describes, top + row * len(rows) + 2, drawn)


def intervals(describes: str, rows: Sequence[tuple[str, float, float | None, float | None]]) -> str:
    """Ratios with their intervals around a line at 1: (name, ratio, low, high)."""
    ends = [1.0, *(v for _, *three in rows for v in three if v is not None)]
    low, high = min(ends), max(ends)
    margin = max(0.1 * (high - low), 0.02)
    x = Scale(low - margin, high + margin, 8, WIDTH - 8)
    row, bottom = 36, 36 * len(rows) + 4
    drawn = [f'<path class="one" d="M{x.at(1)} 0V{bottom}"/>']
    drawn += [
        f'<text x="{x.at(value)}" y="{bottom + 14}" text-anchor="middle">{value:g}</text>'
        for value in x.ticks()
    ]
    for i, (name, ratio, least, most) in enumerate(rows):
        y = i * row + 26
        color = f"c{(i + 1) % 6}"
        drawn.append(f'<text x="0" y="{y - 11}">{escape(name)}</text>')
        if least is not None and most is not None:
            drawn.append(f'<path class="line {color}" d="M{x.at(least)} {y}H{x.at(most)}"/>')
        drawn.append(
            f'<circle class="dot {color}" cx="{x.at(ratio)}" cy="{y}" r="4"><title>{ratio:.4f}'
            "</title></circle>"
        )
    return _svg(describes, bottom + 20, drawn)
