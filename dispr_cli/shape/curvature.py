"""Discrete curvature measures of a mesh within balls (Cohen-Steiner & Morvan, SoCG 2003), equal to trimesh's.

The paper compares cells by the mean of such a measure over the vertices. Both are integrals over the piece
of surface inside the ball, not curvatures at a point: divide by that piece's area to get curvatures. Signs
follow outward normals, so the mean curvature of a convex cell is positive.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispr_cli.errors import ConfigError
from dispr_cli.shape.ball_sums import ball_sums
from dispr_cli.shape.compiled import COMPILED
from dispr_cli.shape.mesh import Mesh

ON_BORDER = 1e-9
"""Share of the radius by which a vertex may lie outside the ball and still count."""

FLAT_DEFECT = 1e-12
FLAT_ANGLE = 1e-7
"""Defects and dihedral angles up to these (radians) are rounding errors of flat pieces and left out."""


def gaussian_curvature(
    mesh: Mesh, radius: float, points: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Sum the vertex defects (2 pi minus the corner angles) within a ball around each point.

    Parameters
    ----------
    mesh
        The surface.
    radius
        Of the ball, in the mesh's unit; may be infinite (then each sum is 2 pi times the Euler
        characteristic).
    points
        (P, 3) centres of the balls, (z, y, x); the mesh's vertices if None.

    Returns
    -------
    ndarray
        (P,) Gaussian curvature measures, without unit.

    Raises
    ------
    ConfigError
        If the radius is negative or NaN.
    """
    _check_radius(radius)
    sources = _weighted_places(mesh.vertices, mesh.vertex_defects, FLAT_DEFECT)
    # Vertices of binary volumes often lie on the very border, where the unit's rounding must not decide.
    radius *= 1 + ON_BORDER
    return ball_sums(_centres(mesh, points), sources, radius, radius)


def mean_curvature(
    mesh: Mesh, radius: float, points: NDArray[np.float64] | None = None, *, flat_angle: float = FLAT_ANGLE
) -> NDArray[np.float64]:
    """Sum over edges half the length within a ball around each point times the signed dihedral angle.

    Parameters
    ----------
    mesh
        The surface.
    radius
        Of the ball, in the mesh's unit; may be infinite.
    points
        (P, 3) centres of the balls, (z, y, x); the mesh's vertices if None.
    flat_angle
        Dihedral angles up to this (radians) count nothing. With 0 the rounding errors of flat pieces are
        summed up too, as trimesh does: they add about 5e-7 voxels for each ball.

    Returns
    -------
    ndarray
        (P,) mean curvature measures, in the mesh's unit of length; positive where the surface is convex.

    Raises
    ------
    ConfigError
        If the radius is negative or NaN.
    """
    _check_radius(radius)
    edges, angles = mesh.edges
    sources = _bent_segments(mesh.vertices, edges, angles, flat_angle)
    half_longest = float(sources[9].max(initial=0.0)) / 2
    return ball_sums(_centres(mesh, points), sources, radius, radius + half_longest)


def _check_radius(radius: float) -> None:
    if not radius >= 0:
        raise ConfigError(f"The curvature radius is {radius}; a number of at least 0 was expected.")


def _centres(mesh: Mesh, points: NDArray[np.float64] | None) -> NDArray[np.float64]:
    return mesh.vertices if points is None else np.ascontiguousarray(points, dtype=np.float64)


@njit(**COMPILED)
def _weighted_places(
    vertices: NDArray[np.float64], weights: NDArray[np.float64], flat: float
) -> NDArray[np.float64]:
    """Lay the vertices out as ball_sums wants points: place and weight (4, N), without the flat ones."""
    count = 0
    for vertex in range(len(vertices)):
        count += abs(weights[vertex]) > flat
    sources, column = np.empty((4, count)), 0
    for vertex in range(len(vertices)):
        if abs(weights[vertex]) > flat:
            for axis in range(3):
                sources[axis, column] = vertices[vertex, axis]
            sources[3, column] = weights[vertex]
            column += 1
    return sources


@njit(**COMPILED)
def _bent_segments(
    vertices: NDArray[np.float64], edges: NDArray[np.int32], angles: NDArray[np.float64], flat: float
) -> NDArray[np.float64]:
    """Lay the edges out as ball_sums wants segments: midpoint, start, direction, length, weight (11, N)."""
    count = 0
    for edge in range(len(edges)):
        count += abs(angles[edge]) > flat
    sources, column = np.empty((11, count)), 0
    for edge in range(len(edges)):
        if abs(angles[edge]) <= flat:
            continue
        start, end = edges[edge, 0], edges[edge, 1]
        squared = 0.0
        for axis in range(3):
            squared += (vertices[end, axis] - vertices[start, axis]) ** 2
        length = np.sqrt(squared)
        for axis in range(3):
            a, b = vertices[start, axis], vertices[end, axis]
            sources[axis, column], sources[3 + axis, column] = 0.5 * (a + b), a
            sources[6 + axis, column] = (b - a) / length
        sources[9, column], sources[10, column] = length, 0.5 * angles[edge]
        column += 1
    return sources
