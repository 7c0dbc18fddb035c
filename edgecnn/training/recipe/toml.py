"""A recipe back into TOML, to train by again and to change."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from edgecnn.training.recipe.settings import Recipe


def as_toml(recipe: Recipe) -> str:
    """The whole recipe, every setting said; `load_recipe` reads it as the same recipe."""
    settings: dict[str, Any] = msgspec.to_builtins(recipe)
    tables = {name: value for name, value in settings.items() if isinstance(value, dict)}
    lines = _lines({k: v for k, v in settings.items() if k not in tables})
    for name, table in tables.items():
        lines += ["", f"[{name}]", *_lines(table)]
    return "\n".join(lines) + "\n"


def _lines(table: dict[str, Any]) -> list[str]:
    # Numbers, strings, lists and truth values are written as in JSON; TOML has no null.
    return [f"{name} = {json.dumps(value)}" for name, value in table.items() if value is not None]
