"""What a recipe can say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from edgecnn.training.recipe.augment import Augment
from edgecnn.training.recipe.bounds import NotNegative, Positive, Share
from edgecnn.training.recipe.transfer import Distill, Transfer
from edgecnn_runtime.errors import InputError

Count = Annotated[int, msgspec.Meta(ge=1)]
Undecayed = Literal["bias", "norm", "depthwise"]
Initialisation = Literal["own", "he", "lecun", "xavier", "gaussian", "krizhevsky"]


class AtTest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table [test]: how the paper's entry answered. Recorded for `evaluate --crops recipe`,
    which takes the crops alone, and for `export`; training does not use it.

    Attributes:
        crops: a scheme of `evaluate --crops`.
        shorter: shorter sides that the picture is scaled to, as multiples of the resolution.
        networks: how many, trained from other seeds, answer together.
    """

    crops: Literal["center", "flip", "five", "ten", "144", "multiscale"] = "center"
    shorter: tuple[Positive, ...] = ()
    networks: Count = 1


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a training run; the merged recipe is saved in the run folder.

    Attributes:
        loss: `cross_entropy` behind a softmax; or `sse`, half the squared distance of the linear
            outputs to the one-hot target. With `sse` the decisions are good and the softmax that a
            bundle answers with keeps them, but its probabilities are not calibrated: an output of 1
            against nine of 0 is a probability of 0.23.
        lr: the schedule's peak.
        momentum: of `sgd` and `rmsprop`.
        rms_decay, epsilon: of `rmsprop`, whose denominator is sqrt(mean square) + epsilon.
        no_decay: parameters that weight decay leaves alone: biases, those of normalisations,
            the filters of depthwise convolutions.
        clip_gradient: largest norm of the gradient of all weights together.
        schedule: `onecycle` warms up for a third and anneals to zero; `constant` does not move;
            `step` goes by `milestones`; `cosine` anneals to zero by half a cosine; `exp` multiplies
            by `decay` every `decay_epochs`; `poly` is (1 - share of the run)^power.
        warmup_epochs: the rate rises linearly first; not with `onecycle`, which has its own.
        milestones: (share of the run, share of `lr` from there on), in order.
        label_smoothing: share of the target that is spread over all classes, with either loss.
        dropout: before the outputs, in place of the network's own.
        initialisation: `own` is what the network's file does.
        max_filter_rms: filters of convolutions whose root mean square is above are scaled down to
            it after each step (ZFNet).
        ema: decay of an exponential moving average of the weights, which is then what is judged
            and kept.
        amp: compute in half precision where it is safe; on a GPU only.
    """

    epochs: Count
    batch_size: Count = 64
    loss: Literal["cross_entropy", "sse"] = "cross_entropy"
    optimizer: Literal["sgd", "adamw", "rmsprop"] = "sgd"
    lr: Positive = 0.05
    momentum: Share = 0.9
    nesterov: bool = True
    rms_decay: Share = 0.9
    epsilon: Positive = 1e-8
    weight_decay: NotNegative = 5e-4
    no_decay: tuple[Undecayed, ...] = ()
    clip_gradient: Positive | None = None
    schedule: Literal["onecycle", "constant", "step", "cosine", "exp", "poly"] = "onecycle"
    warmup_epochs: NotNegative = 0.0
    milestones: tuple[tuple[Share, Positive], ...] = ()
    decay: Share = 0.94
    decay_epochs: Positive = 2.0
    power: Positive = 1.0
    label_smoothing: Share = 0.0
    dropout: Annotated[float, msgspec.Meta(ge=0, lt=1)] | None = None
    initialisation: Initialisation = "own"
    max_filter_rms: Positive | None = None
    ema: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    amp: bool = False
    augment: Augment = Augment()
    transfer: Transfer = Transfer()
    distill: Distill = Distill()
    test: AtTest = AtTest()

    def __post_init__(self) -> None:
        if (self.schedule == "step") != bool(self.milestones):
            raise ValueError("the schedule step goes by milestones, and no other schedule does")
        shares = [share for share, _ in self.milestones]
        if shares != sorted(shares):
            raise ValueError(f"milestones at {shares}; expected them in order")
        if self.warmup_epochs and self.schedule == "onecycle":
            raise ValueError("onecycle warms up by itself; leave warmup_epochs out")

    @property
    def all_epochs(self) -> int:
        """Those of the schedule, and those in which all but the head is frozen."""
        return self.transfer.freeze_epochs + self.epochs

    def changed(self, **settings: float | Mapping[str, float | None] | None) -> Recipe:
        """The same recipe with other settings; None leaves one as it is, a mapping changes a table.

        Raises:
            InputError: a value that the setting cannot have.
        """
        changed: dict[str, Any] = msgspec.to_builtins(self)
        for name, value in settings.items():
            if isinstance(value, Mapping):
                changed[name] |= {k: v for k, v in value.items() if v is not None}
            elif value is not None:
                changed[name] = value
        try:
            return msgspec.convert(changed, Recipe)
        except msgspec.ValidationError as error:
            raise InputError(f"recipe: {error}") from error
