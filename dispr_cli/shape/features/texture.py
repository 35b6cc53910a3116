"""Texture of 2D pictures: grey-level co-occurrence without its matrix, and sums of Gabor responses."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FLAT = 1e-15


def offset_pairs(
    picture: NDArray[Any], distance: int, direction: tuple[int, int] = (0, 1)
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the values of all pairs of pixels a given step apart.

    Parameters
    ----------
    picture
        (Y, X) grey values.
    distance
        Steps between the pixels of a pair.
    direction
        One step (y, x), each -1, 0 or 1.

    Returns
    -------
    ndarray, ndarray
        First and second values, each (N,).
    """
    dy, dx = distance * direction[0], distance * direction[1]
    height, width = picture.shape
    first = picture[max(-dy, 0) : height - max(dy, 0), max(-dx, 0) : width - max(dx, 0)]
    second = picture[max(dy, 0) : height - max(-dy, 0), max(dx, 0) : width - max(-dx, 0)]
    return first.ravel(), second.ravel()


def offset_dissimilarity(picture: NDArray[Any], distance: int) -> float:
    """Average |a - b| over pairs along x: the dissimilarity of the co-occurrence matrix (Haralick 1973)."""
    first, second = offset_pairs(picture.astype(np.float64), distance)
    return float(np.abs(first - second).mean())


def offset_correlation(picture: NDArray[Any], distance: int) -> float:
    """Correlate a and b over pairs along x, each pair taken both ways, as the symmetric matrix does.

    Returns 1 where all values are equal, as scikit-image does.
    """
    first, second = offset_pairs(picture.astype(np.float64), distance)
    mean = (first.mean() + second.mean()) / 2
    variance = (((first - mean) ** 2).mean() + ((second - mean) ** 2).mean()) / 2
    if np.sqrt(variance) < _FLAT:
        return 1.0
    return float(((first - mean) * (second - mean)).mean() / variance)


def gabor_sum(picture: NDArray[Any], frequency: float) -> float:
    """Add up a picture filtered by the real part of a Gabor filter along x, borders mirrored.

    A mirrored border keeps sums, so this is the kernel's sum times the picture's: at 1 cycle per pixel the
    cosine is 1 on every pixel and the filter no more than a small blur. The published "Gabor features" are
    areas, up to a constant; they are kept for comparison's sake.

    Parameters
    ----------
    picture
        (Y, X) grey values.
    frequency
        Cycles per pixel.
    """
    return float(picture.sum()) * gabor_kernel_sum(frequency)


@cache
def gabor_kernel_sum(frequency: float) -> float:
    """Add up the real Gabor kernel that scikit-image makes: bandwidth 1 octave, cut off at 3 sigma."""
    # Daugman's bandwidth: sigma = sqrt(ln 2 / 2) / pi * (2^b + 1) / (2^b - 1) / frequency.
    sigma = np.sqrt(np.log(2) / 2) / np.pi * 3 / frequency
    reach = int(np.ceil(max(3 * sigma, 1)))
    steps = np.arange(-reach, reach + 1)
    envelope = np.exp(-0.5 * (steps / sigma) ** 2)
    along = (envelope * np.cos(2 * np.pi * frequency * steps)).sum()
    return float(along * envelope.sum() / (2 * np.pi * sigma**2))
