"""The tables [transfer] and [distill] of a recipe."""

from __future__ import annotations

from typing import Annotated

import msgspec

from edgecnn.training.recipe.bounds import Positive, Share


class Transfer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How weights that were trained before are adapted; for runs with `--init`.

    Attributes:
        freeze_epochs: before the recipe's own epochs, so many in which the head alone trains, at
            the recipe's peak rate. The rest keeps its weights and batch norm its statistics.
        layer_decay: the rate of a layer is `lr` times this to the power of how many layers stand
            between it and the outputs: 1 is the same rate for all.
    """

    freeze_epochs: Annotated[int, msgspec.Meta(ge=0)] = 0
    layer_decay: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0


class Distill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of a teacher's answers a run with `--distill` learns.

    Attributes:
        temperature: that the logits of both are divided by, so that a softmax says more than which
            class is best.
        alpha: the teacher's share of the loss; the labels have the rest.
    """

    temperature: Positive = 4.0
    alpha: Share = 0.9
