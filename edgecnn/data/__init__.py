"""Photographs: a folder per class, or a data set by name. Everything comes out as BGR frames."""

from edgecnn.data.named import NAMED, load_data
from edgecnn.data.photographs import colour_crops, colour_photographs
from edgecnn.data.splits import DataSet, Split

__all__ = ["NAMED", "DataSet", "Split", "colour_crops", "colour_photographs", "load_data"]
