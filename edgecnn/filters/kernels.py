"""The kernels themselves: float (h, w), middles in the middle, k down the rows and l across.

Averaging kernels sum to 1, derivative kernels to 0. To be used with `correlate`.
"""

from __future__ import annotations

import math

import torch

from edgecnn_runtime.errors import InputError

LARGEST = 1023  # pixels of a kernel's side: a larger one would be a matter for Fourier transforms


def boxcar(size: int = 3) -> torch.Tensor:
    """The mean of size x size pixels."""
    row = boxcar_row(size)
    return torch.outer(row, row)


def boxcar_row(size: int = 3) -> torch.Tensor:
    """The factor of which a boxcar is the outer product with itself: (size,)."""
    _check_odd(size)
    return torch.full((size,), 1 / size)


def gaussian(tau: float, size: int | None = None) -> torch.Tensor:
    """exp(-(k² + l²) / 2τ²) / Z.

    Args:
        tau: standard deviation in pixels.
        size: of the support, odd; three standard deviations on each side by default.
    """
    row = gaussian_row(tau, size)
    return torch.outer(row, row)


def gaussian_row(tau: float, size: int | None = None) -> torch.Tensor:
    """The factor of which a Gaussian kernel is the outer product with itself: (size,)."""
    k = torch.arange(-(reach := _reach(tau, size)), reach + 1, dtype=torch.float64)
    row = torch.exp(-k.square() / (2 * tau**2))
    return _float(row / row.sum())


def oriented_gaussian(
    theta: float, along: float = 4.0, across: float = 1.0, size: int | None = None
) -> torch.Tensor:
    """A Gaussian drawn out in one direction, in which it removes the high frequencies.

    Args:
        theta: of that direction, radians, from k (down) towards l (right).
        along: standard deviation in that direction. `across`: at right angles to it.
    """
    _check_tau(min(along, across))
    down, right = _grid(_reach(max(along, across), size))
    u = down * math.cos(theta) + right * math.sin(theta)
    v = right * math.cos(theta) - down * math.sin(theta)
    kernel = torch.exp(-u.square() / (2 * along**2) - v.square() / (2 * across**2))
    return _float(kernel / kernel.sum())


def laplacian() -> torch.Tensor:
    """The sum of both second derivatives: 0 1 0 / 1 -4 1 / 0 1 0."""
    return torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


def gradient() -> torch.Tensor:
    """The plain differences of the neighbours, across and down: (2, 3, 3)."""
    return _across_and_down([0.0, 1.0, 0.0])


def prewitt() -> torch.Tensor:
    """Prewitt (1970), for vertical and for horizontal edges: (2, 3, 3)."""
    return _across_and_down([1.0, 1.0, 1.0])


def sobel() -> torch.Tensor:
    """Sobel (1968), for vertical and for horizontal edges: (2, 3, 3)."""
    return _across_and_down([1.0, 2.0, 1.0])


def _across_and_down(average: list[float]) -> torch.Tensor:
    """A difference across, averaged down, and its transpose."""
    vertical = torch.outer(torch.tensor(average), torch.tensor([-1.0, 0.0, 1.0]))
    return torch.stack([vertical, vertical.T])


def gabor(theta: float, frequency: float, tau: float, size: int | None = None) -> torch.Tensor:
    """exp(-(k² + l²) / 2τ²) cos(2πf(k cos θ + l sin θ)).

    Args:
        theta: direction of the oscillation, radians, from k (down) towards l (right).
        frequency: cycles a pixel, up to 0.5.
        tau: standard deviation of the neighbourhood, in pixels.
    """
    if not 0 <= frequency <= 0.5:
        raise InputError(f"a frequency of {frequency:g}; expected 0 to 0.5 cycles a pixel")
    down, right = _grid(_reach(tau, size))
    phase = 2 * math.pi * frequency * (down * math.cos(theta) + right * math.sin(theta))
    window = torch.exp(-(down.square() + right.square()) / (2 * tau**2))
    return _float(window * torch.cos(phase))


def gabor_bank(
    orientations: int,
    frequency: float,
    tau: float,
    size: int | None = None,
    *,
    start: float = 0.0,
) -> torch.Tensor:
    """Gabor kernels whose directions share a half turn, each with its mean removed: (K, h, w).

    Args:
        start: direction of the first. The others are those of `gabor`.
    """
    if orientations < 1:
        raise InputError(f"{orientations} directions; expected at least 1")
    angles = [start + math.pi * i / orientations for i in range(orientations)]
    bank = torch.stack([gabor(theta, frequency, tau, size) for theta in angles])
    window = gabor(0.0, 0.0, tau, size)
    return bank - window * (bank.sum((1, 2)) / window.sum())[:, None, None]


def _reach(tau: float, size: int | None) -> int:
    _check_tau(tau)
    size = 2 * math.ceil(3 * tau) + 1 if size is None else size
    _check_odd(size)
    return size // 2


def _check_tau(tau: float) -> None:
    if not 0 < tau < math.inf:
        raise InputError(f"a standard deviation of {tau:g}; expected above 0 pixels")


def _check_odd(size: int) -> None:
    if size < 1 or size % 2 == 0:
        raise InputError(f"a kernel of size {size}; expected an odd number, to have a middle")
    if size > LARGEST:
        raise InputError(f"a kernel of size {size}; expected at most {LARGEST}")


def _grid(reach: int) -> tuple[torch.Tensor, torch.Tensor]:
    axis = torch.arange(-reach, reach + 1, dtype=torch.float64)
    down, right = torch.meshgrid(axis, axis, indexing="ij")
    return down, right


def _float(kernel: torch.Tensor) -> torch.Tensor:
    """Computed in double precision, kept in PyTorch's default."""
    return kernel.to(torch.get_default_dtype())
