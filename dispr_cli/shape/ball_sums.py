"""Sums over everything within a ball around each point: the compiled core of both curvature measures.

Points are taken in blocks of a coarse grid. For each block the sources near it are gathered once into a
contiguous buffer, over which the sum of every point of the block runs as one vectorised loop: exact sums,
hundreds of times faster than a tree query and a Python sum for each point. All functions release the GIL.

Sources are columns of a float64 array whose first three rows are the place (z, y, x) they are sorted by; the
other rows are a weight (4 rows in all), or a segment's start, direction, length and weight (11 rows).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispr_cli.shape.compiled import COMPILED, REORDERED
from dispr_cli.shape.place_grid import GRID_CELLS, cell_span, grid_around, sorted_into_cells

POINT_ROWS = 4


@njit(**COMPILED)
def ball_sums(
    points: NDArray[np.float64], sources: NDArray[np.float64], radius: float, reach: float
) -> NDArray[np.float64]:
    """Sum for each point what its ball holds of the sources.

    Parameters
    ----------
    points
        (P, 3) float64, C-contiguous.
    sources
        (4, N) float64: weights count where the place lies in the closed ball. (11, N): segments count by
        weight times the length inside the ball; their place is the midpoint.
    radius
        Of the ball; finite.
    reach
        The radius plus half the longest segment: what lies farther away counts nothing.

    Returns
    -------
    ndarray
        (P,) sums.
    """
    sums = np.zeros(len(points))
    if len(points) == 0 or sources.shape[1] == 0:
        return sums
    places = _transposed_places(sources)
    origin, shape, side = grid_around(places, GRID_CELLS)
    starts, order = sorted_into_cells(places, origin, shape, side)
    ordered = _reordered(sources, order)
    block_origin, block_shape, block_side = grid_around(points, GRID_CELLS // 2)
    block_starts, block_order = sorted_into_cells(points, block_origin, block_shape, block_side)
    buffer = np.empty(ordered.shape)
    for block in range(len(block_starts) - 1):
        members = block_order[block_starts[block] : block_starts[block + 1]]
        if len(members) == 0:
            continue
        gathered = _gather_near(points, members, ordered, origin, shape, side, starts, reach, buffer)
        for member in members:
            z, y, x = points[member, 0], points[member, 1], points[member, 2]
            if len(sources) == POINT_ROWS:
                sums[member] = _weight_in_ball(z, y, x, buffer, gathered, radius * radius)
            else:
                sums[member] = _length_in_ball(z, y, x, buffer, gathered, radius * radius)
    return sums


@njit(**REORDERED)
def _weight_in_ball(
    z: float, y: float, x: float, sources: NDArray[np.float64], count: int, radius_squared: float
) -> float:
    source_z, source_y, source_x, weight = sources[0], sources[1], sources[2], sources[3]
    total = 0.0
    for source in range(count):
        dz, dy, dx = source_z[source] - z, source_y[source] - y, source_x[source] - x
        total += weight[source] if dz * dz + dy * dy + dx * dx <= radius_squared else 0.0
    return total


@njit(**REORDERED)
def _length_in_ball(
    z: float, y: float, x: float, sources: NDArray[np.float64], count: int, radius_squared: float
) -> float:
    """Cut each segment with the ball: |start + t direction - point| = radius at t = -b ± sqrt(b² - c)."""
    start_z, start_y, start_x = sources[3], sources[4], sources[5]
    along_z, along_y, along_x = sources[6], sources[7], sources[8]
    length, weight = sources[9], sources[10]
    total = 0.0
    for source in range(count):
        dz, dy, dx = start_z[source] - z, start_y[source] - y, start_x[source] - x
        b = dz * along_z[source] + dy * along_y[source] + dx * along_x[source]
        c = dz * dz + dy * dy + dx * dx - radius_squared
        half_chord = np.sqrt(max(b * b - c, 0.0))
        enters = min(max(-b - half_chord, 0.0), length[source])
        leaves = min(max(-b + half_chord, 0.0), length[source])
        total += (leaves - enters) * weight[source]
    return total


@njit(**COMPILED)
def _gather_near(
    points: NDArray[np.float64],
    members: NDArray[np.int32],
    ordered: NDArray[np.float64],
    origin: NDArray[np.float64],
    shape: NDArray[np.int64],
    side: float,
    starts: NDArray[np.int32],
    reach: float,
    buffer: NDArray[np.float64],
) -> int:
    """Copy the sources within reach of the members' bounding box to the buffer's front; return how many."""
    low, high = _bounding_box(points, members)
    first_z, last_z = cell_span(low[0], high[0], reach, origin[0], shape[0], side)
    first_y, last_y = cell_span(low[1], high[1], reach, origin[1], shape[1], side)
    first_x, last_x = cell_span(low[2], high[2], reach, origin[2], shape[2], side)
    # Rounding must not lose a source on the ball's very border.
    reach_squared = reach * reach * (1.0 + 1e-9)
    gathered = 0
    for row_z in range(first_z, last_z + 1):
        for row_y in range(first_y, last_y + 1):
            row = (row_z * shape[1] + row_y) * shape[2]
            for source in range(starts[row + first_x], starts[row + last_x + 1]):
                if _squared_distance_to_box(ordered, source, low, high) <= reach_squared:
                    for attribute in range(len(ordered)):
                        buffer[attribute, gathered] = ordered[attribute, source]
                    gathered += 1
    return gathered


@njit(**COMPILED)
def _bounding_box(
    points: NDArray[np.float64], members: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for member in members:
        for axis in range(3):
            low[axis] = min(low[axis], points[member, axis])
            high[axis] = max(high[axis], points[member, axis])
    return low, high


@njit(**COMPILED)
def _squared_distance_to_box(
    places: NDArray[np.float64], place: int, low: NDArray[np.float64], high: NDArray[np.float64]
) -> float:
    total = 0.0
    for axis in range(3):
        gap = max(0.0, max(low[axis] - places[axis, place], places[axis, place] - high[axis]))
        total += gap * gap
    return total


@njit(**COMPILED)
def _transposed_places(sources: NDArray[np.float64]) -> NDArray[np.float64]:
    places = np.empty((sources.shape[1], 3))
    for axis in range(3):
        for source in range(sources.shape[1]):
            places[source, axis] = sources[axis, source]
    return places


@njit(**COMPILED)
def _reordered(sources: NDArray[np.float64], order: NDArray[np.int32]) -> NDArray[np.float64]:
    ordered = np.empty((len(sources), len(order)))
    for attribute in range(len(sources)):
        for place in range(len(order)):
            ordered[attribute, place] = sources[attribute, order[place]]
    return ordered
