"""What happens to training images: single ones where they are read, whole batches on the device."""

from edgecnn.training.augment.batch import augment
from edgecnn.training.augment.mix import mix
from edgecnn.training.augment.single import crop_at_random, rand_augment, random_crop

__all__ = ["augment", "crop_at_random", "mix", "rand_augment", "random_crop"]
