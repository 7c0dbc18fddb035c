"""How to train: a TOML file by name or by path."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edgecnn_runtime.errors import InputError, unknown_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Positive = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Augment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to a training image; everything is off unless the recipe turns it on.

    Attributes:
        crop_scale: area of a random crop, as a share of the frame; (1, 1) is the whole view.
        crop_aspect: width over height of that crop.
        hflip, vflip: mirror half of the images.
        rot90: turn by a random number of right angles.
        degrees, translate, scale, shear: random affine distortion; degrees, share of the side,
            relative size, degrees.
    """

    crop_scale: tuple[Share, Share] = (1.0, 1.0)
    crop_aspect: tuple[Positive, Positive] = (1.0, 1.0)
    hflip: bool = False
    vflip: bool = False
    rot90: bool = False
    degrees: float = 0.0
    translate: Share = 0.0
    scale: tuple[Positive, Positive] = (1.0, 1.0)
    shear: float = 0.0


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a training run; the merged recipe is saved in the run folder.

    Attributes:
        loss: `cross_entropy` behind a softmax; or `sse`, half the squared distance of the linear
            outputs to the one-hot target. With `sse` the decisions are good and the softmax that a
            bundle answers with keeps them, but its probabilities are not calibrated: an output of 1
            against nine of 0 is a probability of 0.23.
        lr: the schedule's peak.
        schedule: `onecycle` warms up for a third and anneals to zero; `constant` does not move.
        label_smoothing: share of the target that is spread over all classes, with either loss.
    """

    epochs: Annotated[int, msgspec.Meta(ge=1)]
    batch_size: Annotated[int, msgspec.Meta(ge=1)] = 64
    loss: Literal["cross_entropy", "sse"] = "cross_entropy"
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: Positive = 0.05
    momentum: Share = 0.9
    nesterov: bool = True
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 5e-4
    schedule: Literal["onecycle", "constant"] = "onecycle"
    label_smoothing: Share = 0.0
    augment: Augment = Augment()

    def changed(self, **settings: float | None) -> Recipe:
        """The same recipe with other settings; None leaves one as it is.

        Raises:
            InputError: a value that the setting cannot have.
        """
        given = {k: v for k, v in settings.items() if v is not None}
        try:
            return msgspec.convert({**msgspec.to_builtins(self), **given}, Recipe)
        except msgspec.ValidationError as error:
            raise InputError(f"recipe: {error}") from error


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
