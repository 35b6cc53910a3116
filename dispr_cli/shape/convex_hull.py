"""Convex hulls: of a surface's vertices, as half-spaces, as the voxels inside, and their widths."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispr_cli.shape.compiled import COMPILED, REORDERED

ON_FACE = 1e-10
"""How far outside a face a voxel's centre may lie and still count as inside, as in scikit-image."""

ALONG_ROW = 1e-9
"""Faces whose unit normal has no larger component along x run along it."""

WIDTH_DIRECTIONS = 1024
"""Directions over the half sphere along which widths are averaged."""

MANY_POINTS = 500
CORE_DIRECTIONS = 48
"""Of more points, those inside the hull of the extreme ones along so many lines are left out at first."""


@dataclass(frozen=True, eq=False)
class ConvexHull:
    """The smallest convex body around some points.

    Attributes
    ----------
    corners
        (K, D) the points that span it, in the points' unit.
    half_spaces
        (F, D + 1) outward unit normals n and offsets d of its faces: inside is n · p + d <= 0.
    content, boundary
        Its volume and surface area (D = 3), or its area and perimeter (D = 2).
    """

    corners: NDArray[np.float64]
    half_spaces: NDArray[np.float64]
    content: float
    boundary: float


def convex_hull(points: NDArray[np.float64]) -> ConvexHull:
    """Span the convex hull of points by Qhull (Barber, Dobkin & Huhdanpaa 1996).

    Parameters
    ----------
    points
        (N, D) with D 2 or 3, not all in one plane (line).

    Returns
    -------
    ConvexHull
        In the points' unit.
    """
    from scipy.spatial import ConvexHull as Qhull

    if points.shape[1] == 3 and len(points) > MANY_POINTS:
        points = points[_outside_of_core(np.ascontiguousarray(points), _core(points))]
    hull = Qhull(points)
    return ConvexHull(points[hull.vertices], hull.equations, float(hull.volume), float(hull.area))


def voxels_within(hull: ConvexHull, shape: tuple[int, ...]) -> int:
    """Count the grid points (0, 0, 0) ... within a hull of D = 3 whose unit is a voxel, borders included.

    In the plane, D = 2, the same for pixels.
    """
    low = np.maximum(np.ceil(hull.corners.min(axis=0) - ON_FACE), 0).astype(np.int64)
    high = np.minimum(np.floor(hull.corners.max(axis=0) + ON_FACE) + 1, shape).astype(np.int64)
    if len(shape) == 2:
        low, high = np.insert(low, 0, 0), np.insert(high, 0, 1)
    half_spaces = hull.half_spaces if len(shape) == 3 else np.insert(hull.half_spaces, 0, 0.0, axis=1)
    slopes = half_spaces[:, 2]
    leaving, entering = (half_spaces[side * slopes > ALONG_ROW] for side in (1, -1))
    walls = half_spaces[np.abs(slopes) <= ALONG_ROW]
    return int(
        _points_within(
            np.ascontiguousarray((_shifted(leaving) / -leaving[:, 2:3]).T),
            np.ascontiguousarray((_shifted(entering) / -entering[:, 2:3]).T),
            np.ascontiguousarray(_shifted(walls).T),
            low,
            high,
        )
    )


def widths(hull: ConvexHull, directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Measure the distance of the two planes (lines) that touch a hull across each unit direction (N, D)."""
    planes = [np.ascontiguousarray(axis) for axis in hull.corners.T]
    if len(planes) == 2:
        directions = np.insert(directions, 0, 0.0, axis=1)
        planes.insert(0, np.zeros(len(hull.corners)))
    found: NDArray[np.float64] = _widths(np.ascontiguousarray(directions), *planes)
    return found


def longest_width(hull: ConvexHull) -> float:
    """Return the largest distance of two points of a hull (the largest Feret diameter)."""
    from scipy.spatial.distance import pdist

    return float(pdist(hull.corners).max())


def shortest_width(hull: ConvexHull) -> float:
    """Return the least width of a hull across any of its faces and, for D = 3, of even directions.

    In the plane this is exact. In space the least width may also lie between two edges; even directions come
    within a few tenths of a per cent of it.
    """
    directions = hull.half_spaces[:, :-1]
    if directions.shape[1] == 3:
        directions = np.concatenate([directions, even_directions(WIDTH_DIRECTIONS)])
    return float(widths(hull, directions).min())


def mean_width(hull: ConvexHull) -> float:
    """Average the width of a hull of D = 3 over all directions."""
    return float(widths(hull, even_directions(WIDTH_DIRECTIONS)).mean())


@cache
def even_directions(count: int) -> NDArray[np.float64]:
    """Spread (count, 3) unit vectors evenly over the half sphere z > 0 along a golden spiral."""
    index = np.arange(count) + 0.5
    z, azimuth = index / count, index * np.pi * (3.0 - np.sqrt(5.0))
    radius = np.sqrt(1.0 - z**2)
    return np.stack([z, radius * np.sin(azimuth), radius * np.cos(azimuth)], axis=1)


def _shifted(half_spaces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the columns (z, y, offset) of half-spaces moved outwards by a hair."""
    return half_spaces[:, [0, 1, 3]] - np.array([0.0, 0.0, ON_FACE])


def _core(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half-spaces (F, 4) of a hull within the hull, of few points (Akl & Toussaint 1978)."""
    from scipy.spatial import ConvexHull as Qhull

    # Any points will do that span most of the hull, so one in four is looked at.
    few = points[::4]
    heights = few @ even_directions(CORE_DIRECTIONS).T
    extremes = np.unique(np.concatenate([heights.argmax(axis=0), heights.argmin(axis=0)]))
    equations: NDArray[np.float64] = Qhull(few[extremes]).equations
    return equations


@njit(**COMPILED)
def _outside_of_core(points: NDArray[np.float64], half_spaces: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the points that do not lie inside all half-spaces by a clear margin."""
    outside = np.zeros(len(points), np.bool_)
    for point in range(len(points)):
        z, y, x = points[point, 0], points[point, 1], points[point, 2]
        for face in range(len(half_spaces)):
            height = half_spaces[face, 0] * z + half_spaces[face, 1] * y + half_spaces[face, 2] * x
            if height + half_spaces[face, 3] > -1e-6:
                outside[point] = True
                break
    return outside


@njit(**REORDERED)
def _widths(
    directions: NDArray[np.float64],
    places_z: NDArray[np.float64],
    places_y: NDArray[np.float64],
    places_x: NDArray[np.float64],
) -> NDArray[np.float64]:
    found = np.empty(len(directions))
    for line in range(len(directions)):
        z, y, x = directions[line, 0], directions[line, 1], directions[line, 2]
        low, high = np.inf, -np.inf
        for corner in range(len(places_z)):
            height = z * places_z[corner] + y * places_y[corner] + x * places_x[corner]
            low, high = min(low, height), max(high, height)
        found[line] = high - low
    return found


@njit(**REORDERED)
def _points_within(
    rising: NDArray[np.float64],
    falling: NDArray[np.float64],
    walls: NDArray[np.float64],
    first: NDArray[np.int64],
    stop: NDArray[np.int64],
) -> int:
    """Add up, for each row along x, the points from the last face entered to the first one left.

    Each face is a row (a, b, c) that says at which x = a z + b y + c a line along x crosses it: ``rising``
    those it leaves by, ``falling`` those it enters by. ``walls`` run along x: inside is a z + b y + c <= 0.
    """
    total = 0
    for z in range(first[0], stop[0]):
        for y in range(first[1], stop[1]):
            beyond = 0.0
            for face in range(walls.shape[1]):
                beyond = max(beyond, walls[0, face] * z + walls[1, face] * y + walls[2, face])
            if beyond > 0.0:
                continue
            high, low = stop[2] - 1.0, float(first[2])
            for face in range(rising.shape[1]):
                high = min(high, rising[0, face] * z + rising[1, face] * y + rising[2, face])
            for face in range(falling.shape[1]):
                low = max(low, falling[0, face] * z + falling[1, face] * y + falling[2, face])
            total += max(int(np.floor(high)) - int(np.ceil(low)) + 1, 0)
    return total
