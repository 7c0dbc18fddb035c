"""Which pictures there are, and which of them a network can be drawn by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from edgecnn.visualization.cams import draw_cams
from edgecnn.visualization.features import draw_features
from edgecnn.visualization.filters import draw_evolution, draw_filters, has_evolution
from edgecnn.visualization.projections import draw_projections
from edgecnn.visualization.receptive_fields import draw_receptive_fields
from edgecnn.visualization.studio import Drawing, Studio
from edgecnn_runtime.errors import InputError, unknown_name


class Kind(NamedTuple):
    draw: Callable[[Studio], Drawing | list[Drawing]]
    applies: Callable[[Studio], bool]


def _always(_: Studio) -> bool:
    return True


def _has_data(studio: Studio) -> bool:
    return studio.data is not None


KINDS = {
    "filters": Kind(draw_filters, _always),
    "evolution": Kind(draw_evolution, has_evolution),
    "features": Kind(draw_features, _always),
    "deconv": Kind(draw_projections, _has_data),
    "receptive-field": Kind(draw_receptive_fields, _always),
    "grad-cam": Kind(draw_cams, _always),
}
OF_WEIGHTS = ("filters", "evolution")  # these need no pictures
CHART = "chart"


def parse_kinds(text: str | None, targets: Sequence[str]) -> tuple[str, ...]:
    """`filters,grad-cam` -> names; all that a network has, or the chart of several, where nothing
    is said.

    Raises:
        InputError: an unknown name, or a chart beside what one network is drawn by.
    """
    if text is None:
        return tuple(KINDS) if len(targets) == 1 else (CHART,)
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in KINDS and name != CHART:
            raise unknown_name("picture", name, [*KINDS, CHART])
    if not names:
        raise InputError(f"no picture is named; expected some of: {', '.join([*KINDS, CHART])}")
    if CHART in names and len(names) > 1:
        raise InputError("a chart is of several networks and stands alone; ask for it by itself")
    if CHART not in names and len(targets) > 1:
        raise InputError(
            f"{len(targets)} targets and --what {names[0]}; only the chart is of several networks"
        )
    return names


def draw(studio: Studio, names: Iterable[str], *, asked: bool) -> list[Drawing]:
    """Compute what the pictures show.

    Args:
        asked: whether a person named them: what does not apply is then an error.
    """
    drawings: list[Drawing] = []
    for name in names:
        kind = KINDS[name]
        if asked or kind.applies(studio):
            found = kind.draw(studio)
            drawings += found if isinstance(found, list) else [found]
    return drawings
