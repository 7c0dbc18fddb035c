"""Recipes are TOML files: read by name or by path."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

import msgspec

from edgecnn.training.recipe.settings import Recipe
from edgecnn_runtime.errors import InputError, unknown_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def recipes() -> list[str]:
    """Names of the recipes that come with edgecnn."""
    folder = files("edgecnn.training") / "recipes"
    return sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if _is_toml(p.name))


def _is_toml(name: str) -> bool:
    return name.endswith(".toml")


def load_recipe(name: str) -> Recipe:
    """Read a recipe by name, or from a file that ends in .toml.

    Raises:
        InputError: no such recipe, not TOML, or a setting that recipes do not have.
    """
    if _is_toml(name):
        path = Path(name)
        if not path.is_file():
            raise InputError(f"no recipe file {name}; expected TOML, or one of: {_names()}")
        text = path.read_text(encoding="utf-8")
    elif name in recipes():
        text = (files("edgecnn.training") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    else:
        raise unknown_name("recipe", name, recipes(), ", or a file that ends in .toml")
    try:
        return msgspec.convert(tomllib.loads(text), Recipe)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputError(f"recipe {name}: {error}") from error


def _names() -> str:
    return ", ".join(recipes())
