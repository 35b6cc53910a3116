"""The maximal tangent sphere at a point: the radius of the paper's Gaussian curvature."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispr_cli.shape.compiled import COMPILED
from dispr_cli.shape.mesh import Mesh
from dispr_cli.shape.triangles import nearest_in_triangle, ray_hit

TOUCHING = 1e-5
"""Distances this near (in the mesh's unit) are the same, as trimesh's tolerance ``planar``."""

SAME_FACE = 1e-8
"""Faces whose squared distances differ by less are equally near, as trimesh's tolerance ``merge``."""

CONVERGED = 1e-6
"""The search ends when the radius shrinks by less than this share of the mesh's diagonal."""

MAX_STEPS = 100


def tangent_sphere_radius(
    mesh: Mesh, point: NDArray[np.float64], direction: NDArray[np.float64] | None = None
) -> float:
    """Find the largest sphere that is tangent at a point and at the surface and does not cut the surface.

    The shrinking-sphere iteration of Inui, Umezu & Shimane (Computer-Aided Design and Applications 13,
    2016), with trimesh's rules: the first radius is half the distance to the surface along the direction,
    and every step puts the sphere through the surface point nearest to its centre, r = |d|² / (2 d · n). At
    a cell's centre of mass, where SHAPR's notebook takes it, the point is not on the surface, and the radius
    says which wall happens to be nearest rather than how thick the cell is.

    Parameters
    ----------
    mesh
        A surface with outward normals.
    point
        (3,) (z, y, x) in the mesh's unit.
    direction
        (3,) unit vector from the point to the sphere's centre; the first of :func:`nearest_normals` if None.

    Returns
    -------
    float
        Radius in the mesh's unit; infinite if no surface lies in that direction, NaN for an empty mesh.
    """
    if mesh.is_empty or not np.isfinite(point).all():
        return float("nan")
    point = np.ascontiguousarray(point, dtype=np.float64)
    if direction is None:
        direction = nearest_normals(mesh, point)[0]
    direction = np.ascontiguousarray(direction, dtype=np.float64)
    diagonal = float(np.linalg.norm(mesh.vertices.max(axis=0) - mesh.vertices.min(axis=0)))
    longest = _longest_side(mesh.vertices, mesh.faces)
    shrunk = _shrunk_radius(mesh.vertices, mesh.faces, longest, point, direction, CONVERGED * diagonal)
    return float(shrunk)


def nearest_normals(mesh: Mesh, point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the normal of the face nearest to a point, or those of all faces at the nearest edge or corner.

    Parameters
    ----------
    mesh
        A surface that is not empty.
    point
        (3,) (z, y, x) in the mesh's unit.

    Returns
    -------
    ndarray
        (K, 3) unit normals. The one most against the way from the surface to the point comes first: the rule
        trimesh applies to two of the faces, which two being left to the order of its R-tree.
    """
    point = np.ascontiguousarray(point, dtype=np.float64)
    nearest = np.empty(3)
    longest = _longest_side(mesh.vertices, mesh.faces)
    distance = _nearest_on_surface(mesh.vertices, mesh.faces, longest, point, nearest)
    touched = _faces_touching(mesh.vertices, mesh.faces, longest, point, distance**2 + SAME_FACE)
    normals = mesh.face_normals[touched]
    return normals[np.argsort(normals @ (point - nearest), kind="stable")]


@njit(**COMPILED)
def _shrunk_radius(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    longest: float,
    point: NDArray[np.float64],
    direction: NDArray[np.float64],
    smallest_step: float,
) -> float:
    nearest = np.empty(3)
    radius = _first_radius(vertices, faces, longest, point, direction)
    if not np.isfinite(radius):
        return radius
    for _ in range(MAX_STEPS):
        distance = _nearest_on_surface(vertices, faces, longest, point + direction * radius, nearest)
        # The centre's distance to the point is the radius itself, whatever its sign.
        if abs(distance - abs(radius)) < TOUCHING:
            break
        previous, radius = radius, _radius_through(point, direction, nearest)
        if previous - radius < smallest_step:
            break
    return radius


@njit(**COMPILED)
def _radius_through(
    point: NDArray[np.float64], direction: NDArray[np.float64], other: NDArray[np.float64]
) -> float:
    """Return the radius of the sphere tangent at ``point`` that also passes through ``other``."""
    squared, along = 0.0, 0.0
    for axis in range(3):
        step = other[axis] - point[axis]
        squared += step * step
        along += step * direction[axis]
    return squared / (2.0 * along)


@njit(**COMPILED)
def _first_radius(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    longest: float,
    point: NDArray[np.float64],
    direction: NDArray[np.float64],
) -> float:
    """Take half the way to the surface; without a hit, the sphere through the vertex farthest along."""
    shortest, farthest, highest = np.inf, 0, -np.inf
    for face in range(len(faces)):
        first = faces[face, 0]
        along, squared = 0.0, 0.0
        for axis in range(3):
            step = vertices[first, axis] - point[axis]
            along += step * direction[axis]
            squared += step * step
        if along > highest:
            farthest, highest = first, along
        # Only faces with a corner this near to the ray's line can be hit.
        if squared - along * along <= longest * longest * (1.0 + 1e-9) and along >= -longest:
            hit = ray_hit(point, direction, vertices, faces, face)
            if TOUCHING < hit < shortest:
                shortest = hit
    if shortest < np.inf:
        return 0.5 * shortest
    return _radius_through(point, direction, vertices[farthest]) if highest >= TOUCHING else np.inf


@njit(**COMPILED)
def _nearest_on_surface(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    longest: float,
    point: NDArray[np.float64],
    nearest: NDArray[np.float64],
) -> float:
    """Write the surface point nearest to a point into ``nearest`` and return the distance."""
    shortest = _squared_distance_to_vertices(vertices, point)
    # Only faces whose first corner is at most a side farther than the nearest vertex can be nearer than it.
    limit = (np.sqrt(shortest) + longest) ** 2 * (1.0 + 1e-9)
    shortest = np.inf
    for face in range(len(faces)):
        if _squared_distance(vertices, faces[face, 0], point) > limit:
            continue
        squared, z, y, x = nearest_in_triangle(point[0], point[1], point[2], vertices, faces, face)
        if squared < shortest:
            shortest = squared
            nearest[0], nearest[1], nearest[2] = z, y, x
    return np.sqrt(shortest)


@njit(**COMPILED)
def _faces_touching(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    longest: float,
    point: NDArray[np.float64],
    squared: float,
) -> NDArray[np.int64]:
    """List the faces that come nearer to a point than a squared distance."""
    limit = (np.sqrt(squared) + longest) ** 2 * (1.0 + 1e-9)
    touching, count = np.empty(len(faces), np.int64), 0
    for face in range(len(faces)):
        if _squared_distance(vertices, faces[face, 0], point) > limit:
            continue
        if nearest_in_triangle(point[0], point[1], point[2], vertices, faces, face)[0] < squared:
            touching[count] = face
            count += 1
    return touching[:count]


@njit(**COMPILED)
def _squared_distance_to_vertices(vertices: NDArray[np.float64], point: NDArray[np.float64]) -> float:
    shortest = np.inf
    for vertex in range(len(vertices)):
        shortest = min(shortest, _squared_distance(vertices, vertex, point))
    return shortest


@njit(**COMPILED)
def _squared_distance(vertices: NDArray[np.float64], vertex: int, point: NDArray[np.float64]) -> float:
    total = 0.0
    for axis in range(3):
        total += (vertices[vertex, axis] - point[axis]) ** 2
    return total


@njit(**COMPILED)
def _longest_side(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> float:
    longest = 0.0
    for face in range(len(faces)):
        for corner in range(3):
            end = vertices[faces[face, (corner + 1) % 3]]
            longest = max(longest, _squared_distance(vertices, faces[face, corner], end))
    return np.sqrt(longest)
