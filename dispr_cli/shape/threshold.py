"""Which voxels belong to the cell: the occupancy's half level, or Otsu's threshold.

Every measure takes a *volume*: uint8 grey values (0 outside, 255 inside, in-between at the border), a float
occupancy in [0, 1], or booleans. This file is the only one that knows these three kinds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import SURFACE_LEVEL
from dispr_cli.errors import CellError


def as_grey(volume: NDArray[Any]) -> NDArray[np.float32]:
    """Bring a volume of any of the three kinds to grey values in [0, 255].

    Parameters
    ----------
    volume
        (Z, Y, X): uint8 grey values, float occupancy in [0, 1], or bool.

    Returns
    -------
    ndarray
        (Z, Y, X) float32 grey values, 0 outside and 255 inside.

    Raises
    ------
    CellError
        If the array is not 3D, is empty, holds NaN or infinity, or floats outside [0, 1].
    """
    volume = np.asarray(volume)
    _check_shape(volume)
    if volume.dtype == np.uint8:
        return volume.astype(np.float32)
    if volume.dtype == np.bool_:
        return volume * np.float32(255)
    _check_occupancy(volume)
    return volume.astype(np.float32) * np.float32(255)


def foreground(volume: NDArray[Any], threshold: float = SURFACE_LEVEL) -> NDArray[np.bool_]:
    """Mark the voxels above a threshold in grey values.

    Parameters
    ----------
    volume
        (Z, Y, X): uint8 grey values, float occupancy in [0, 1], or bool.
    threshold
        In grey values of [0, 255], whatever the kind of the volume. A voxel must lie above it.

    Returns
    -------
    ndarray
        (Z, Y, X) bool.

    Raises
    ------
    CellError
        As :func:`as_grey`.
    """
    volume = np.asarray(volume)
    if volume.dtype == np.bool_:
        _check_shape(volume)
        return volume
    if volume.dtype == np.uint8:
        _check_shape(volume)
        return volume > threshold
    return as_grey(volume) > threshold


def otsu_threshold(volume: NDArray[Any], num_bins: int = 256) -> float:
    """Find the grey value that separates two classes best (Otsu, IEEE Trans. SMC 9, 1979).

    The volume is divided by its maximum first and the threshold scaled back, as SHAPR's notebook does. The
    histogram has ``num_bins`` bins over the range of the values; the answer is a bin centre, as in
    scikit-image.

    Parameters
    ----------
    volume
        (Z, Y, X): uint8 grey values, float occupancy in [0, 1], or bool.
    num_bins
        Bins of the histogram.

    Returns
    -------
    float
        Threshold in grey values; for a volume of a single value that value, so nothing lies above it.

    Raises
    ------
    CellError
        As :func:`as_grey`.
    """
    values, times = _counted(volume)
    highest = float(values.max())
    if float(values.min()) == highest:
        return highest
    counts, edges = np.histogram(values / highest, bins=num_bins, weights=times)
    centres = 0.5 * (edges[1:] + edges[:-1])
    return float(centres[_best_split(counts.astype(np.float64), centres)] * highest)


def _counted(volume: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return grey values and how often each occurs; None where they are listed one by one."""
    if np.asarray(volume).dtype != np.uint8:
        return as_grey(volume).astype(np.float64), None
    _check_shape(volume)
    counts = np.bincount(volume.ravel(), minlength=256)
    values = np.flatnonzero(counts)
    return values.astype(np.float64), counts[values].astype(np.float64)


def _best_split(counts: NDArray[np.float64], centres: NDArray[np.float64]) -> int:
    """Return the bin after which the variance between the classes is largest."""
    weight_below = np.cumsum(counts)
    weight_above = np.cumsum(counts[::-1])[::-1]
    mean_below = np.cumsum(counts * centres) / weight_below
    mean_above = (np.cumsum((counts * centres)[::-1]) / weight_above[::-1])[::-1]
    between = weight_below[:-1] * weight_above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2
    return int(np.argmax(between))


def _check_shape(volume: NDArray[Any]) -> None:
    if volume.ndim != 3 or volume.size == 0:
        raise CellError(
            f"The volume has shape {volume.shape}; a 3D array (Z, Y, X) with at least one voxel was "
            "expected. Hand over one volume at a time."
        )


def _check_occupancy(volume: NDArray[Any]) -> None:
    if not np.issubdtype(volume.dtype, np.floating):
        raise CellError(
            f"The volume holds {volume.dtype} values; uint8 grey values, a float occupancy in [0, 1] "
            "or booleans were expected. Convert it first."
        )
    # NaN fails this comparison too.
    if not (volume.min() >= -1e-6 and volume.max() <= 1 + 1e-6):
        raise CellError(
            f"The volume's values span {volume.min():g} to {volume.max():g}; a float occupancy must "
            "lie in [0, 1] without NaN. Divide grey values by 255, or hand them over as uint8."
        )
