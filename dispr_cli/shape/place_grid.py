"""A coarse grid of cubes around points in space, so that a search looks only at the cubes nearby."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispr_cli.shape.compiled import COMPILED

GRID_CELLS = 24
"""Cubes along the longest axis: the fastest of 12 to 48 on real cells, where a cube is two voxels wide."""


@njit(**COMPILED)
def grid_around(
    places: NDArray[np.float64], num_cells: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """Lay a grid of cubes around the places (N, 3): its origin, its shape, and the cubes' side."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for place in range(len(places)):
        for axis in range(3):
            low[axis] = min(low[axis], places[place, axis])
            high[axis] = max(high[axis], places[place, axis])
    longest = max(high[0] - low[0], high[1] - low[1], high[2] - low[2])
    side = longest / num_cells if longest > 0.0 else 1.0
    shape = np.empty(3, np.int64)
    for axis in range(3):
        shape[axis] = int((high[axis] - low[axis]) / side) + 1
    return low, shape, side


@njit(**COMPILED)
def sorted_into_cells(
    places: NDArray[np.float64], origin: NDArray[np.float64], shape: NDArray[np.int64], side: float
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Sort the places by cell (counting sort): where each cell starts (cells + 1,), and the order (N,)."""
    starts = np.zeros(shape[0] * shape[1] * shape[2] + 1, np.int32)
    cells = np.empty(len(places), np.int32)
    for place in range(len(places)):
        cells[place] = 0
        for axis in range(3):
            step = int((places[place, axis] - origin[axis]) / side)
            cells[place] = cells[place] * shape[axis] + step
        starts[cells[place] + 1] += 1
    for cell in range(len(starts) - 1):
        starts[cell + 1] += starts[cell]
    cursor, order = starts[:-1].copy(), np.empty(len(places), np.int32)
    for place in range(len(places)):
        order[cursor[cells[place]]] = place
        cursor[cells[place]] += 1
    return starts, order


@njit(**COMPILED)
def cell_span(
    low: float, high: float, reach: float, origin: float, count: int, side: float
) -> tuple[int, int]:
    """Return along one axis the first and last cube within reach of low to high; none where last < first.

    The reach may be infinite.
    """
    first = np.floor((low - reach - origin) / side)
    last = np.floor((high + reach - origin) / side)
    return int(min(max(first, 0.0), float(count))), int(min(max(last, -1.0), count - 1.0))
