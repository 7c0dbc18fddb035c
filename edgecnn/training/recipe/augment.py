"""The table [augment] of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from edgecnn.training.recipe.bounds import NotNegative, Positive, Share


class Augment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to a training image; everything is off unless the recipe turns it on.

    Attributes:
        crop_scale: area of a random crop, as a share of the frame; (1, 1) is the whole view.
        crop_aspect: width over height of that crop.
        shorter: scale jitter instead: the shorter side is scaled to a random multiple of the
            resolution in this range, and a crop of the input's size is cut anywhere (VGG).
        interpolation: of a random crop; `contract` is the manifest's, `random` draws nearest, area,
            bilinear or bicubic for each image (GoogLeNet).
        randaugment: (operations, magnitude from 0 to 30) of torchvision's RandAugment.
        pad: a border of zeros around the image, as a share of its side, from which a crop of the
            input's size is cut anywhere: 4 pixels of 32 for CIFAR.
        hflip, vflip: mirror half of the images.
        rot90: turn by a random number of right angles; what is not square, by half turns alone.
        degrees, translate, scale, shear: random affine distortion; degrees, share of the side,
            relative size, degrees.
        elastic: (alpha, sigma) of Simard et al. (2003): random displacements, smoothed by a
            Gaussian of sigma pixels and multiplied by alpha pixels.
        brightness, contrast, saturation: by a factor within 1 ± this.
        pca: standard deviation of AlexNet's shift of the colour along its principal components.
        mixup, cutmix: alpha of the Beta distribution by which two images and their labels are
            mixed; where both are above 0, each batch has one of them, drawn evenly.
    """

    crop_scale: tuple[Share, Share] = (1.0, 1.0)
    crop_aspect: tuple[Positive, Positive] = (1.0, 1.0)
    shorter: tuple[Positive, Positive] | None = None
    interpolation: Literal["contract", "random"] = "contract"
    randaugment: (
        tuple[Annotated[int, msgspec.Meta(ge=1)], Annotated[int, msgspec.Meta(ge=0, le=30)]] | None
    ) = None
    pad: Share = 0.0
    hflip: bool = False
    vflip: bool = False
    rot90: bool = False
    degrees: float = 0.0
    translate: Share = 0.0
    scale: tuple[Positive, Positive] = (1.0, 1.0)
    shear: float = 0.0
    elastic: tuple[Positive, Positive] | None = None
    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0
    pca: NotNegative = 0.0
    mixup: NotNegative = 0.0
    cutmix: NotNegative = 0.0

    def __post_init__(self) -> None:
        ranges = ("crop_scale", "crop_aspect", "shorter", "scale")
        for name in ranges:
            bounds = getattr(self, name)
            if bounds is not None and bounds[0] > bounds[1]:
                raise ValueError(f"{name} goes from {bounds[0]} to {bounds[1]}: the smaller first")
        if self.shorter is not None:
            if self.crops_by_area:
                raise ValueError("shorter and crop_scale both say how to crop; keep one of them")
            if self.shorter[0] < 1:
                raise ValueError(f"shorter {self.shorter[0]}: a crop needs at least 1 times it")
        if self.interpolation == "random" and not (self.crops_by_area or self.shorter):
            raise ValueError("random interpolation belongs to a random crop: set crop_scale")

    @property
    def crops_by_area(self) -> bool:
        return self.crop_scale != (1.0, 1.0)
