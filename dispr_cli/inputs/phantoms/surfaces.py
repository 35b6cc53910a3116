"""Level functions of the cell bodies, in micrometres: positive inside, zero on the membrane.

Each is close to the distance to the membrane near it, so that a field of levels turns into an
occupancy with a border one voxel wide. They are compiled and evaluated on whole grids.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

DISC, RADIAL, PLANFORM, LOBES = 0, 1, 2, 3
"""Kinds of body: bent disc, star shape with a table of radii, plate with an outline, union of ellipsoids."""

TABLE_SIDE = 96
BLOCK = 2
OUTSIDE = -10.0


@numba.njit(cache=True, fastmath=True, inline="always")
def disc_half_thickness(u: float, c0: float, c1: float, c2: float) -> float:
    """Half the thickness of a red cell at u = (r/R)² (Evans & Fung 1972, eq. for D(r)), in um."""
    return 0.5 * math.sqrt(1.0 - u) * (c0 + u * (c1 + u * c2))


@numba.njit(cache=True, fastmath=True, inline="always")
def smooth_minimum(a: float, b: float, width: float) -> float:
    """Minimum of two levels, rounded over ``width`` (the quadratic polynomial form)."""
    h = max(width - abs(a - b), 0.0)
    return min(a, b) - 0.25 * h * h / width


@numba.njit(cache=True, fastmath=True)
def disc_level(p: NDArray[np.float64], x: float, y: float, z: float) -> float:
    """Level of a disc around a mid-surface bent into a cap of a sphere.

    ``p`` is (R, c0, c1, c2, curvature, aspect): radius along the mid-surface and the coefficients of
    the thickness in um, curvature of the mid-surface in 1/um, ratio of the two diameters.
    """
    x, y = x / p[5], y * p[5]
    along = math.sqrt(x * x + y * y)
    across = z
    if p[4] > 1e-3:
        bend = 1.0 / p[4]
        height = bend - z
        across = math.sqrt(along * along + height * height) - bend
        along = bend * math.atan2(along, height)
    u = (along / p[0]) ** 2
    if u >= 1.0:
        return p[0] - along - abs(across)
    return disc_half_thickness(u, p[1], p[2], p[3]) - abs(across)


@numba.njit(cache=True, fastmath=True)
def radial_level(table: NDArray[np.float32], x: float, y: float, z: float) -> float:
    """Level of a star-shaped body whose radius stands in an octahedral table of directions."""
    norm = abs(x) + abs(y) + abs(z) + 1e-9
    a, b = x / norm, y / norm
    if z < 0.0:
        fold = 1.0 - abs(b)
        b = math.copysign(1.0 - abs(a), b)
        a = math.copysign(fold, a)
    scale = 0.5 * (TABLE_SIDE - 1)
    row, column = (b + 1.0) * scale, (a + 1.0) * scale
    i, j = min(int(row), TABLE_SIDE - 2), min(int(column), TABLE_SIDE - 2)
    s, t = row - i, column - j
    upper = table[i, j] * (1.0 - t) + table[i, j + 1] * t
    lower = table[i + 1, j] * (1.0 - t) + table[i + 1, j + 1] * t
    return upper * (1.0 - s) + lower * s - math.sqrt(x * x + y * y + z * z)


@numba.njit(cache=True, fastmath=True)
def planform_inset(p: NDArray[np.float64], x: float, y: float) -> float:
    """Distance inwards from the outline of a plate: an ellipse less some bites, in um.

    ``p`` is (R, c0, c1, c2, deepest inset, semi-axis a, semi-axis b, rounding, fold per um, where the fold
    begins, number of bites) followed by (x, y, radius) of every bite; a negative radius keeps the inside
    of that circle instead.
    """
    a, b = p[5], p[6]
    inset = (1.0 - math.sqrt((x / a) ** 2 + (y / b) ** 2)) * min(a, b)
    for k in range(int(p[10])):
        q = 11 + 3 * k
        distance = math.sqrt((x - p[q]) ** 2 + (y - p[q + 1]) ** 2)
        radius = p[q + 2]
        side = distance - radius if radius > 0.0 else -radius - distance
        inset = smooth_minimum(inset, side, p[7])
    return inset


@numba.njit(cache=True, fastmath=True)
def planform_level(p: NDArray[np.float64], x: float, y: float, z: float) -> float:
    """Level of a plate, one side of it folded up, as thick as a red cell from its outline inwards."""
    inset = planform_inset(p, x, y)
    z -= p[8] * max(x - p[9], 0.0) ** 2
    if inset <= 0.0:
        return inset - abs(z)
    u = max(0.0, 1.0 - inset / p[4]) ** 2
    return disc_half_thickness(u, p[1], p[2], p[3]) - abs(z)


@numba.njit(cache=True, fastmath=True)
def lobes_level(p: NDArray[np.float64], x: float, y: float, z: float) -> float:
    """Level of a rounded union of ellipsoids.

    ``p`` is (number, rounding) followed per ellipsoid by centre (3), mean radius, and the six distinct
    entries (xx, yy, zz, xy, xz, yz) of the matrix M of d'Md = 1.
    """
    outside = -OUTSIDE
    for k in range(int(p[0])):
        q = 2 + 10 * k
        dx, dy, dz = x - p[q], y - p[q + 1], z - p[q + 2]
        form = p[q + 4] * dx * dx + p[q + 5] * dy * dy + p[q + 6] * dz * dz
        form += 2.0 * (p[q + 7] * dx * dy + p[q + 8] * dx * dz + p[q + 9] * dy * dz)
        outside = smooth_minimum(outside, (math.sqrt(max(form, 0.0)) - 1.0) * p[q + 3], p[1])
    return -outside


@numba.njit(cache=True, fastmath=True)
def level_at(
    kind: int, p: NDArray[np.float64], table: NDArray[np.float32], x: float, y: float, z: float
) -> float:
    """Level of a body of any kind at a point of its own frame."""
    if kind == DISC:
        return disc_level(p, x, y, z)
    if kind == RADIAL:
        return radial_level(table, x, y, z)
    if kind == PLANFORM:
        return planform_level(p, x, y, z)
    return lobes_level(p, x, y, z)


@numba.njit(cache=True, fastmath=True)
def _deformed_level(
    waves: NDArray[np.float64],
    kind: int,
    p: NDArray[np.float64],
    table: NDArray[np.float32],
    x: float,
    y: float,
    z: float,
) -> float:
    wx, wy, wz = x, y, z
    for n in range(waves.shape[0]):
        swing = math.sin(waves[n, 0] * x + waves[n, 1] * y + waves[n, 2] * z + waves[n, 3])
        wx += waves[n, 4] * swing
        wy += waves[n, 5] * swing
        wz += waves[n, 6] * swing
    return level_at(kind, p, table, wx, wy, wz)


@numba.njit(cache=True, fastmath=True)
def add_body(
    field: NDArray[np.float32],
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    waves: NDArray[np.float64],
    reach: float,
    kind: int,
    p: NDArray[np.float64],
    table: NDArray[np.float32],
) -> None:
    """Raise a field of levels to the union with one body.

    Blocks of 2 x 2 x 2 voxels whose middle lies far outside are left as they are.

    Parameters
    ----------
    field
        Levels in um, (z, y, x), changed in place; starts at ``OUTSIDE``.
    matrix, offset
        Point of the body (x, y, z in um) = matrix @ (x, y, z indices) + offset.
    waves
        Smooth deformation: rows of wave vector (3, 1/um), phase, displacement (3, um).
    reach
        No part of the body lies farther than this from its origin, in um.
    kind, p, table
        The body; see :func:`level_at`.
    """
    depth, height, width = field.shape
    spacing = math.sqrt((matrix**2).sum())
    # A level overstates the distance where the surface is oblique to it: on fins and spikes most.
    far = 1.5 * BLOCK * spacing
    for k0 in range(0, depth, BLOCK):
        for j0 in range(0, height, BLOCK):
            for i0 in range(0, width, BLOCK):
                i, j, k = i0 + 0.5 * (BLOCK - 1), j0 + 0.5 * (BLOCK - 1), k0 + 0.5 * (BLOCK - 1)
                x = matrix[0, 0] * i + matrix[0, 1] * j + matrix[0, 2] * k + offset[0]
                y = matrix[1, 0] * i + matrix[1, 1] * j + matrix[1, 2] * k + offset[1]
                z = matrix[2, 0] * i + matrix[2, 1] * j + matrix[2, 2] * k + offset[2]
                if x * x + y * y + z * z > (reach + 0.5 * BLOCK * spacing) ** 2:
                    continue
                middle = _deformed_level(waves, kind, p, table, x, y, z)
                if middle < -far:
                    continue
                fill_block(field, k0, j0, i0, matrix, offset, waves, kind, p, table)


@numba.njit(cache=True, fastmath=True)
def fill_block(
    field: NDArray[np.float32],
    k0: int,
    j0: int,
    i0: int,
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    waves: NDArray[np.float64],
    kind: int,
    p: NDArray[np.float64],
    table: NDArray[np.float32],
) -> None:
    """Raise one block of the field, from (k0, j0, i0), to the union with one body; see :func:`add_body`."""
    depth, height, width = field.shape
    for k in range(k0, min(k0 + BLOCK, depth)):
        for j in range(j0, min(j0 + BLOCK, height)):
            for i in range(i0, min(i0 + BLOCK, width)):
                x = matrix[0, 0] * i + matrix[0, 1] * j + matrix[0, 2] * k + offset[0]
                y = matrix[1, 0] * i + matrix[1, 1] * j + matrix[1, 2] * k + offset[1]
                z = matrix[2, 0] * i + matrix[2, 1] * j + matrix[2, 2] * k + offset[2]
                level = _deformed_level(waves, kind, p, table, x, y, z)
                field[k, j, i] = max(field[k, j, i], level)


def table_directions() -> NDArray[np.float64]:
    """Return the unit vectors (x, y, z) that the octahedral table's entries stand for, (side, side, 3)."""
    line = np.linspace(-1.0, 1.0, TABLE_SIDE)
    b, a = np.meshgrid(line, line, indexing="ij")
    z = 1.0 - np.abs(a) - np.abs(b)
    folded = z < 0
    x = np.where(folded, np.copysign(1.0 - np.abs(b), a), a)
    y = np.where(folded, np.copysign(1.0 - np.abs(a), b), b)
    directions = np.stack([x, y, z], axis=-1)
    return directions / np.linalg.norm(directions, axis=-1, keepdims=True)


@numba.njit(cache=True)
def disc_radii(directions: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Radius of an unbent disc in every direction, by bisection; (side, side) in um."""
    rows, columns, _ = directions.shape
    radii = np.empty((rows, columns))
    for i in range(rows):
        for j in range(columns):
            low, high = 0.0, 2.0 * p[0]
            for _ in range(18):
                r = 0.5 * (low + high)
                x, y, z = directions[i, j, 0] * r, directions[i, j, 1] * r, directions[i, j, 2] * r
                if disc_level(p, x, y, z) > 0.0:
                    low = r
                else:
                    high = r
            radii[i, j] = low
    return radii
