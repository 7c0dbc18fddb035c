"""The table of networks. Adding one is a row here and a file beside."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import nn

from edgecnn.models.alexnet import AlexNet, AlexNetTwoTower
from edgecnn.models.densenet import DenseNet
from edgecnn.models.fractalnet import FractalNet20
from edgecnn.models.googlenet import GoogLeNet, GoogLeNetBN
from edgecnn.models.inception_v2 import InceptionV2
from edgecnn.models.inception_v3 import InceptionV3
from edgecnn.models.inception_v4 import InceptionV4
from edgecnn.models.lenet5 import LeNet5
from edgecnn.models.lenet5_modern import LeNet5Modern
from edgecnn.models.mobilenet_v1 import MobileNetV1
from edgecnn.models.mobilenet_v2 import MobileNetV2
from edgecnn.models.mobilenet_v3 import LARGE, SMALL, MobileNetV3
from edgecnn.models.neocognitron import Neocognitron
from edgecnn.models.resnet import ResNet
from edgecnn.models.senet import SENet154, SEResNet
from edgecnn.models.squeezenet import V1_0, V1_1, SqueezeNet
from edgecnn.models.vgg import VGG, VGG16, VGG19
from edgecnn.models.xception import Xception
from edgecnn.models.zfnet import WIDE, ZFNet
from edgecnn_runtime.errors import InputError, unknown_name


class Entry(NamedTuple):
    family: str
    year: int
    depth: int  # as the lecture counts it: layers with weights on the longest way through
    make: Callable[..., nn.Module]  # (num_classes, in_channels[, width]) -> network
    classes: int  # in the paper
    channels: int  # of the input
    resolution: int  # in the paper
    smallest: int  # resolution that the network takes: its stride, or what its kernels need
    has_width: bool
    paper: str


FUKUSHIMA = "Fukushima, 1980, Neocognitron"
LECUN = "LeCun et al., 1998, Gradient-based learning applied to document recognition"
KRIZHEVSKY = "Krizhevsky et al., 2012, ImageNet classification with deep CNNs"
ONE_TOWER = "Krizhevsky, 2014, One weird trick, arXiv:1404.5997"
ZEILER = "Zeiler and Fergus, 2014, Visualizing and understanding CNNs, arXiv:1311.2901"
SIMONYAN = "Simonyan and Zisserman, 2015, Very deep CNNs, arXiv:1409.1556"
GOING_DEEPER = "Szegedy et al., 2015, Going deeper with convolutions, arXiv:1409.4842"
IOFFE = "Ioffe and Szegedy, 2015, Batch normalization, arXiv:1502.03167"
RETHINKING = "Szegedy et al., 2016, Rethinking the Inception architecture, arXiv:1512.00567"
INCEPTION_4 = "Szegedy et al., 2017, Inception-v4, arXiv:1602.07261"
HE = "He et al., 2016, Deep residual learning, arXiv:1512.03385"
HUANG = "Huang et al., 2017, Densely connected CNNs, arXiv:1608.06993"
MOBILENET = "Howard et al., 2017, MobileNets, arXiv:1704.04861"
MOBILENET_2 = "Sandler et al., 2018, MobileNetV2, arXiv:1801.04381"
MOBILENET_3 = "Howard et al., 2019, Searching for MobileNetV3, arXiv:1905.02244"
CHOLLET = "Chollet, 2017, Xception, arXiv:1610.02357"
LARSSON = "Larsson et al., 2017, FractalNet, arXiv:1605.07648"
IANDOLA = "Iandola et al., 2016, SqueezeNet, arXiv:1602.07360"
HU = "Hu et al., 2018, Squeeze-and-excitation networks, arXiv:1709.01507"

# fmt: off
ZOO: dict[str, Entry] = {
    # name                      family          year  depth make                            classes  ch  res min width  paper
    "neocognitron":       Entry("Neocognitron", 1979,   8, Neocognitron,                           10, 1,  19, 11, False, FUKUSHIMA),
    "lenet5":             Entry("LeNet",        1998,   5, LeNet5,                                 10, 1,  32, 32, False, LECUN),
    "lenet5_modern":      Entry("LeNet",        1998,   5, LeNet5Modern,                           10, 1,  32, 32, False, LECUN),
    "alexnet":            Entry("AlexNet",      2014,   8, AlexNet,                              1000, 3, 224, 63, False, ONE_TOWER),
    "alexnet_two_tower":  Entry("AlexNet",      2012,   8, AlexNetTwoTower,                      1000, 3, 227, 67, False, KRIZHEVSKY),
    "zfnet":              Entry("ZFNet",        2013,   8, ZFNet,                                1000, 3, 224, 53, False, ZEILER),
    "zfnet_wide":         Entry("ZFNet",        2013,   8, partial(ZFNet, WIDE),                 1000, 3, 224, 53, False, ZEILER),
    "vgg16":              Entry("VGG",          2014,  16, partial(VGG, VGG16),                  1000, 3, 224, 32, False, SIMONYAN),
    "vgg19":              Entry("VGG",          2014,  19, partial(VGG, VGG19),                  1000, 3, 224, 32, False, SIMONYAN),
    "vgg16_bn":           Entry("VGG",          2014,  16, partial(VGG, VGG16, batch_norm=True), 1000, 3, 224, 32, False, SIMONYAN),
    "vgg19_bn":           Entry("VGG",          2014,  19, partial(VGG, VGG19, batch_norm=True), 1000, 3, 224, 32, False, SIMONYAN),
    "googlenet":          Entry("Inception",    2014,  22, GoogLeNet,                            1000, 3, 224, 32, False, GOING_DEEPER),
    "googlenet_bn":       Entry("Inception",    2014,  22, GoogLeNetBN,                          1000, 3, 224, 32, False, GOING_DEEPER),
    "inception_v2":       Entry("Inception",    2015,  34, InceptionV2,                          1000, 3, 224, 32, False, IOFFE),
    "inception_v3":       Entry("Inception",    2015,  48, InceptionV3,                          1000, 3, 299, 75, False, RETHINKING),
    "inception_v4":       Entry("Inception",    2016,  76, InceptionV4,                          1000, 3, 299, 75, False, INCEPTION_4),
    "resnet18":           Entry("ResNet",       2015,  18, partial(ResNet, 18),                  1000, 3, 224, 32, False, HE),
    "resnet34":           Entry("ResNet",       2015,  34, partial(ResNet, 34),                  1000, 3, 224, 32, False, HE),
    "resnet50":           Entry("ResNet",       2015,  50, partial(ResNet, 50),                  1000, 3, 224, 32, False, HE),
    "resnet101":          Entry("ResNet",       2015, 101, partial(ResNet, 101),                 1000, 3, 224, 32, False, HE),
    "resnet152":          Entry("ResNet",       2015, 152, partial(ResNet, 152),                 1000, 3, 224, 32, False, HE),
    "densenet121":        Entry("DenseNet",     2016, 121, partial(DenseNet, 121),               1000, 3, 224, 32, False, HUANG),
    "densenet169":        Entry("DenseNet",     2016, 169, partial(DenseNet, 169),               1000, 3, 224, 32, False, HUANG),
    "densenet201":        Entry("DenseNet",     2016, 201, partial(DenseNet, 201),               1000, 3, 224, 32, False, HUANG),
    "mobilenet_v1":       Entry("MobileNet",    2017,  28, MobileNetV1,                          1000, 3, 224, 32, True,  MOBILENET),
    "mobilenet_v2":       Entry("MobileNet",    2018,  53, MobileNetV2,                          1000, 3, 224, 32, True,  MOBILENET_2),
    "mobilenet_v3_large": Entry("MobileNet",    2019,  48, partial(MobileNetV3, LARGE),          1000, 3, 224, 32, True,  MOBILENET_3),
    "mobilenet_v3_small": Entry("MobileNet",    2019,  36, partial(MobileNetV3, SMALL),          1000, 3, 224, 32, True,  MOBILENET_3),
    "xception":           Entry("Xception",     2016,  71, Xception,                             1000, 3, 299, 32, False, CHOLLET),
    "fractalnet20":       Entry("FractalNet",   2016,  21, FractalNet20,                           10, 3,  32, 32, False, LARSSON),
    "squeezenet1_0":      Entry("SqueezeNet",   2016,  18, partial(SqueezeNet, V1_0),            1000, 3, 224, 21, False, IANDOLA),
    "squeezenet1_1":      Entry("SqueezeNet",   2016,  18, partial(SqueezeNet, V1_1),            1000, 3, 224, 17, False, IANDOLA),
    "seresnet50":         Entry("SENet",        2017,  50, partial(SEResNet, 50),                1000, 3, 224, 32, False, HU),
    "seresnet101":        Entry("SENet",        2017, 101, partial(SEResNet, 101),               1000, 3, 224, 32, False, HU),
    "seresnet152":        Entry("SENet",        2017, 152, partial(SEResNet, 152),               1000, 3, 224, 32, False, HU),
    "senet154":           Entry("SENet",        2017, 154, SENet154,                             1000, 3, 224, 32, False, HU),
}
# fmt: on


def entry(name: str) -> Entry:
    """The table's row.

    Raises:
        InputError: no such network.
    """
    if name not in ZOO:
        raise unknown_name("model", name, ZOO, "; 'edgecnn models' lists them")
    return ZOO[name]


def build(
    name: str,
    *,
    num_classes: int | None = None,
    width: float = 1.0,
    in_channels: int | None = None,
) -> nn.Module:
    """Build a network of the zoo with fresh weights.

    Args:
        num_classes: length of the logits; the paper's by default.
        width: channel multiplier, for the networks that have one.
        in_channels: 1 or 3; the paper's by default.

    Raises:
        InputError: no such network, or a width for a network that has none.
    """
    row = entry(name)
    arguments: dict[str, float | int] = {
        "num_classes": num_classes or row.classes,
        "in_channels": in_channels or row.channels,
    }
    if row.has_width:
        if not 0 < width <= 4:
            raise InputError(f"width {width}; expected above 0 and at most 4, such as 0.25")
        arguments["width"] = width
    elif width != 1.0:
        wide = ", ".join(n for n, e in ZOO.items() if e.has_width)
        raise InputError(f"{name} has no width multiplier, got {width}; those that have: {wide}")
    return row.make(**arguments)


def check_resolution(name: str, height: int, width: int) -> None:
    """Raise InputError for a resolution that the network's strides do not allow."""
    smallest = entry(name).smallest
    if min(height, width) < smallest:
        raise InputError(f"resolution {height}x{width}; {name} needs at least {smallest}")
