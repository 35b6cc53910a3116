"""How deep each voxel lies inside a cell: the exact Euclidean distance to the nearest outside voxel."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispr_cli.shape.compiled import COMPILED


def depths(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Measure the distance of every inside voxel's centre to that of the nearest outside one.

    Squared distances are lowered along one axis after the other (Saito & Toriwaki 1994); beyond the grid is
    outside.

    Parameters
    ----------
    inside
        (Z, Y, X) bool.

    Returns
    -------
    ndarray
        (N,) distances in voxels of the N inside voxels.
    """
    boxes = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if len(boxes[0]) == 0:
        return np.zeros(0)
    cropped = inside[tuple(slice(hits[0], hits[-1] + 1) for hits in boxes)]
    padded = np.ascontiguousarray(np.pad(cropped, 1))
    squared = np.where(padded, np.float64(padded.size**2), 0.0)
    for axis in (2, 1, 0):
        lines = np.ascontiguousarray(np.moveaxis(squared, axis, 2))
        _lower_along_rows(lines)
        squared = np.moveaxis(lines, 2, axis)
    return np.sqrt(squared[padded])


@njit(**COMPILED)
def _lower_along_rows(squared: NDArray[np.float64]) -> None:
    """Replace each value by the least of value + distance² along its row."""
    length = squared.shape[2]
    row = np.empty(length)
    for a in range(squared.shape[0]):
        for b in range(squared.shape[1]):
            row[:] = squared[a, b]
            for place in range(length):
                best = row[place]
                # No step farther than the best distance so far can be better.
                step = 1
                while step * step < best:
                    if place >= step:
                        best = min(best, row[place - step] + step * step)
                    if place + step < length:
                        best = min(best, row[place + step] + step * step)
                    step += 1
                squared[a, b, place] = best
