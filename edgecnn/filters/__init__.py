"""Fixed filters, filter banks and wavelets: batched, on any device, exportable.

Images are (N, C, H, W); each channel is filtered alone. Sizes, boundaries and the difference
between correlation and convolution are those of `correlation`.
"""

from edgecnn.filters.boundary import Boundary, Extent, enlarge
from edgecnn.filters.correlation import FilterBank, Pooled, Separable, convolve, correlate
from edgecnn.filters.named import NamedFilter, parse_settings
from edgecnn.filters.shrinkage import Denoise
from edgecnn.filters.table import FILTERS, build_filter, named_filter
from edgecnn.filters.wavelets import FrameTiles, HaarFrame, HaarWavelet, Pyramid

__all__ = [
    "FILTERS",
    "Boundary",
    "Denoise",
    "Extent",
    "FilterBank",
    "FrameTiles",
    "HaarFrame",
    "HaarWavelet",
    "NamedFilter",
    "Pooled",
    "Pyramid",
    "Separable",
    "build_filter",
    "convolve",
    "correlate",
    "enlarge",
    "named_filter",
    "parse_settings",
]
