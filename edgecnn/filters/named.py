"""A filter as a person asks for it: by name, with settings, answered with a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

from torch import nn

from edgecnn_runtime.errors import InputError, unknown_name


class NamedFilter(NamedTuple):
    """A row of the table of filters.

    Attributes:
        make: settings -> module, (N, C, H, W) on the scale 0 to 1 -> as many channels.
        settings: the keyword arguments of `make`, and their usual values. A whole number stays one.
        color: of the frames that it takes and of its picture.
        black, white: the responses that the picture shows as 0 and as 255.
        help: what it shows; settings stand in braces.
    """

    make: Callable[..., nn.Module]
    settings: Mapping[str, float]
    color: Literal["gray", "bgr"]
    black: float
    white: float
    help: str

    def complete(self, given: Mapping[str, float]) -> dict[str, float]:
        """All settings: those given, and the usual value of the others.

        Raises:
            InputError: no such setting, or not a number of its kind.
        """
        for name in given:
            if name not in self.settings:
                raise _unknown_setting(name, self.settings)
        return {
            name: _like(usual, given[name], name) if name in given else usual
            for name, usual in self.settings.items()
        }

    def build(self, **given: float) -> nn.Module:
        """The module with these settings; errors as `complete`, or a value is out of range."""
        return self.make(**self.complete(given))

    def describe(self, **given: float) -> str:
        """What it shows with these settings."""
        return self.help.format(**self.complete(given))


def parse_settings(texts: Iterable[str]) -> dict[str, float]:
    """`tau=5` and the like -> settings.

    Raises:
        InputError: not a name, an equals sign and a number.
    """
    settings: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            settings[name.strip()] = float(value)
        except ValueError:
            raise InputError(f"setting {text!r}; expected a number, such as tau=5") from None
    return settings


def _like(usual: float, value: float, name: str) -> float:
    if not math.isfinite(value):
        raise InputError(f"{name}={value:g}; expected a number, such as {usual:g}")
    if isinstance(usual, int):
        if value != int(value):
            raise InputError(f"{name}={value:g}; expected a whole number, such as {usual}")
        return int(value)
    return float(value)


def _unknown_setting(name: str, known: Mapping[str, float]) -> InputError:
    if not known:
        return InputError(f"unknown setting {name!r}; this filter has none")
    return unknown_name("setting", name, known)
