"""Where a triangle lies nearest to a point, and where a ray meets it: the compiled ground under distances.

Places are handed over as three numbers, not as slices of arrays, because slices cost more than the
arithmetic.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispr_cli.shape.compiled import COMPILED


@njit(**COMPILED)
def nearest_in_triangle(
    z: float, y: float, x: float, vertices: NDArray[np.float64], faces: NDArray[np.int32], face: int
) -> tuple[float, float, float, float]:
    """Return the squared distance to a face's point nearest to (z, y, x), and that point.

    By the Voronoi regions of the corners, sides and the inside (Ericson, Real-Time Collision Detection,
    5.1.5).
    """
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    az, ay, ax = vertices[a, 0], vertices[a, 1], vertices[a, 2]
    bz, by, bx = vertices[b, 0] - az, vertices[b, 1] - ay, vertices[b, 2] - ax
    cz, cy, cx = vertices[c, 0] - az, vertices[c, 1] - ay, vertices[c, 2] - ax
    pz, py, px = z - az, y - ay, x - ax
    v, w = _barycentric(
        bz * bz + by * by + bx * bx,
        bz * cz + by * cy + bx * cx,
        cz * cz + cy * cy + cx * cx,
        bz * pz + by * py + bx * px,
        cz * pz + cy * py + cx * px,
    )
    nz, ny, nx = v * bz + w * cz, v * by + w * cy, v * bx + w * cx
    squared = (pz - nz) ** 2 + (py - ny) ** 2 + (px - nx) ** 2
    return squared, az + nz, ay + ny, ax + nx


@njit(**COMPILED)
def _barycentric(ab_ab: float, ab_ac: float, ac_ac: float, ab_ap: float, ac_ap: float) -> tuple[float, float]:
    """Return the shares (v, w) of b - a and c - a in the nearest point, from the five dot products."""
    ab_bp, ac_bp = ab_ap - ab_ab, ac_ap - ab_ac
    ab_cp, ac_cp = ab_ap - ab_ac, ac_ap - ac_ac
    if ab_ap <= 0.0 and ac_ap <= 0.0:
        return 0.0, 0.0
    if ab_bp >= 0.0 and ac_bp <= ab_bp:
        return 1.0, 0.0
    if ac_cp >= 0.0 and ab_cp <= ac_cp:
        return 0.0, 1.0
    beyond_ab = ab_ap * ac_bp - ab_bp * ac_ap
    if beyond_ab <= 0.0 and ab_ap >= 0.0 and ab_bp <= 0.0:
        return ab_ap / (ab_ap - ab_bp), 0.0
    beyond_ac = ab_cp * ac_ap - ab_ap * ac_cp
    if beyond_ac <= 0.0 and ac_ap >= 0.0 and ac_cp <= 0.0:
        return 0.0, ac_ap / (ac_ap - ac_cp)
    beyond_bc = ab_bp * ac_cp - ab_cp * ac_bp
    if beyond_bc <= 0.0 and ac_bp >= ab_bp and ab_cp >= ac_cp:
        along = (ac_bp - ab_bp) / ((ac_bp - ab_bp) + (ab_cp - ac_cp))
        return 1.0 - along, along
    total = beyond_ab + beyond_ac + beyond_bc
    if total == 0.0:
        return 0.0, 0.0
    return beyond_ac / total, beyond_ab / total


@njit(**COMPILED)
def ray_hit(
    origin: NDArray[np.float64],
    direction: NDArray[np.float64],
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    face: int,
) -> float:
    """Return how far along a unit direction a ray meets a face; infinity if it misses.

    Source: Moeller & Trumbore, Journal of Graphics Tools 2, 1997.
    """
    a, b, c = vertices[faces[face, 0]], vertices[faces[face, 1]], vertices[faces[face, 2]]
    edge_b, edge_c, to_origin = b - a, c - a, origin - a
    p = _cross(direction, edge_c)
    determinant = _dot(edge_b, p)
    if abs(determinant) < 1e-14:
        return np.inf
    q = _cross(to_origin, edge_b)
    v, w = _dot(to_origin, p) / determinant, _dot(direction, q) / determinant
    # A ray through a shared edge must not slip between both triangles.
    if v < -1e-12 or w < -1e-12 or v + w > 1.0 + 1e-12:
        return np.inf
    distance = _dot(edge_c, q) / determinant
    return distance if distance >= 0.0 else np.inf


@njit(**COMPILED)
def _cross(u: NDArray[np.float64], w: NDArray[np.float64]) -> NDArray[np.float64]:
    product = np.empty(3)
    for axis in range(3):
        after, last = (axis + 1) % 3, (axis + 2) % 3
        product[axis] = u[after] * w[last] - u[last] * w[after]
    return product


@njit(**COMPILED)
def _dot(u: NDArray[np.float64], w: NDArray[np.float64]) -> float:
    return u[0] * w[0] + u[1] * w[1] + u[2] * w[2]
