"""Faces, corners and shared edges of a triangle mesh: the compiled ground under curvature and roughness.

Every function takes vertices (V, 3) float64 and faces (F, 3) int32, C-contiguous, as :class:`~.mesh.Mesh`
holds them, so that each is compiled once. Nothing is compiled by importing this file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.polynomial.chebyshev import cheb2poly, chebinterpolate
from numpy.typing import NDArray

from dispr_cli.shape.compiled import COMPILED, REORDERED

FLAT_PROJECTION = 1e-8
"""A neighbour's corner less than this above a face's plane counts as convex, as in trimesh."""


def _arctangent_series() -> tuple[float, ...]:
    """Interpolate arctan(x) / x for x up to tan(pi / 8) in powers of w, which is x² scaled to [-1, 1]."""

    def ratio(w: Any) -> Any:
        x = np.sqrt((w + 1) / 2) * np.tan(np.pi / 8)
        return np.arctan(x) / x

    return tuple(float(coefficient) for coefficient in cheb2poly(chebinterpolate(ratio, 10)))


ARCTANGENT = _arctangent_series()
WIDEST = float(np.tan(np.pi / 8) ** 2)


@njit(**COMPILED)
def face_geometry(
    vertices: NDArray[np.float64], faces: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute unit normals (F, 3) and areas (F,); both 0 for a face without area."""
    normals, areas = np.zeros((len(faces), 3)), np.zeros(len(faces))
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        uz, wz = vertices[b, 0] - vertices[a, 0], vertices[c, 0] - vertices[a, 0]
        uy, wy = vertices[b, 1] - vertices[a, 1], vertices[c, 1] - vertices[a, 1]
        ux, wx = vertices[b, 2] - vertices[a, 2], vertices[c, 2] - vertices[a, 2]
        nz, ny, nx = uy * wx - ux * wy, ux * wz - uz * wx, uz * wy - uy * wz
        doubled = np.sqrt(nz * nz + ny * ny + nx * nx)
        if doubled > 0.0:
            areas[face] = 0.5 * doubled
            normals[face, 0], normals[face, 1], normals[face, 2] = nz / doubled, ny / doubled, nx / doubled
    return normals, areas


@njit(**COMPILED)
def divergence_volume(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> float:
    """Add up over the faces a sixth of the cross product's z times the corners' z: the field (z, 0, 0)."""
    total = 0.0
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        uy, wy = vertices[b, 1] - vertices[a, 1], vertices[c, 1] - vertices[a, 1]
        ux, wx = vertices[b, 2] - vertices[a, 2], vertices[c, 2] - vertices[a, 2]
        total += (uy * wx - ux * wy) * (vertices[a, 0] + vertices[b, 0] + vertices[c, 0])
    return total / 6.0


@njit(**COMPILED)
def vertex_defects(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """Subtract the corner angles around each vertex from 2 pi: (V,), positive on caps."""
    cosines, sines = np.empty((2, len(faces))), np.empty((2, len(faces)))
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        uz, wz = vertices[b, 0] - vertices[a, 0], vertices[c, 0] - vertices[a, 0]
        uy, wy = vertices[b, 1] - vertices[a, 1], vertices[c, 1] - vertices[a, 1]
        ux, wx = vertices[b, 2] - vertices[a, 2], vertices[c, 2] - vertices[a, 2]
        nz, ny, nx = uy * wx - ux * wy, ux * wz - uz * wx, uz * wy - uy * wz
        # Up to the product of both sides' lengths, which cancels.
        sines[0, face] = sines[1, face] = np.sqrt(nz * nz + ny * ny + nx * nx)
        cosines[0, face] = uz * wz + uy * wy + ux * wx
        cosines[1, face] = uz * uz + uy * uy + ux * ux - cosines[0, face]
    angles = angles_of(cosines.reshape(-1), sines.reshape(-1))
    defects = np.full(len(vertices), 2.0 * np.pi)
    for face in range(len(faces)):
        if sines[0, face] > 0.0:
            first, second = angles[face], angles[len(faces) + face]
            defects[faces[face, 0]] -= first
            defects[faces[face, 1]] -= second
            defects[faces[face, 2]] -= np.pi - first - second
    return defects


@njit(**REORDERED)
def angles_of(cosines: NDArray[np.float64], sines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return atan2(sine, cosine) for sines of at least 0 (N,), several at once; NaN for two zeros.

    The angle from the nearer side of the real axis is halved twice by tan(x / 2) = sin x / (1 + cos x), and
    what is left, at most tan(pi / 8), goes into a polynomial.
    """
    angles = np.empty(len(cosines))
    for place in range(len(cosines)):
        aside = abs(cosines[place])
        half = sines[place] / (np.sqrt(sines[place] * sines[place] + aside * aside) + aside)
        quarter = half / (1.0 + np.sqrt(1.0 + half * half))
        w = quarter * quarter * (2.0 / WIDEST) - 1.0
        series = ARCTANGENT[10]
        for power in range(9, -1, -1):
            series = series * w + ARCTANGENT[power]
        angle = 4.0 * quarter * series
        angles[place] = angle if cosines[place] >= 0.0 else np.pi - angle
    return angles


@njit(**COMPILED)
def outgoing_edges(
    num_vertices: int, faces: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """List for each vertex the ends of the directed edges that leave it, as (V + 1,) starts and (3 F,) ends.

    The faces (a, b, c) have the directed edges a to b, b to c and c to a; on a closed surface of one
    orientation each neighbour of a vertex appears once.
    """
    starts = np.zeros(num_vertices + 1, np.int32)
    for face in range(faces.shape[0]):
        for corner in range(3):
            starts[faces[face, corner] + 1] += 1
    for vertex in range(num_vertices):
        starts[vertex + 1] += starts[vertex]
    cursor = starts[:-1].copy()
    ends = np.empty(3 * faces.shape[0], np.int32)
    for face in range(faces.shape[0]):
        for corner in range(3):
            tail = faces[face, corner]
            ends[cursor[tail]] = faces[face, (corner + 1) % 3]
            cursor[tail] += 1
    return starts, ends


@njit(**COMPILED)
def shared_edges(num_vertices: int, faces: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Find the edges that exactly two faces share: their vertices (E, 2) and their faces (E, 2).

    Border edges and edges of more than two faces are left out, as in trimesh's face adjacency.
    """
    starts, far_ends, owners = _edges_by_lower_vertex(num_vertices, faces)
    capacity = 3 * faces.shape[0] // 2
    edges, pairs = np.empty((capacity, 2), np.int32), np.empty((capacity, 2), np.int32)
    num_edges = 0
    for vertex in range(num_vertices):
        for first in range(starts[vertex], starts[vertex + 1]):
            if far_ends[first] < 0:
                continue
            multiplicity, last = _claim_duplicates(far_ends, first, starts[vertex + 1])
            if multiplicity == 2 and owners[first] != owners[last]:
                edges[num_edges, 0], edges[num_edges, 1] = vertex, far_ends[first]
                pairs[num_edges, 0], pairs[num_edges, 1] = owners[first], owners[last]
                num_edges += 1
    return edges[:num_edges], pairs[:num_edges]


@njit(**COMPILED)
def signed_dihedral_angles(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    normals: NDArray[np.float64],
    edges: NDArray[np.int32],
    pairs: NDArray[np.int32],
) -> NDArray[np.float64]:
    """Measure the angle between the two faces of each edge: (E,) radians, negative at concave edges."""
    signed = np.empty(len(edges))
    for edge in range(len(edges)):
        near, far = pairs[edge, 0], pairs[edge, 1]
        corner = _corner_off_edge(faces, far, edges[edge, 0], edges[edge, 1])
        cosine, height = 0.0, 0.0
        for axis in range(3):
            cosine += normals[near, axis] * normals[far, axis]
            height += normals[near, axis] * (vertices[corner, axis] - vertices[edges[edge, 0], axis])
        angle = np.arccos(min(1.0, max(-1.0, cosine)))
        signed[edge] = angle if height < FLAT_PROJECTION else -angle
    return signed


@njit(**COMPILED)
def _corner_off_edge(faces: NDArray[np.int32], face: int, a: int, b: int) -> int:
    corner = faces[face, 0]
    for position in range(1, 3):
        if corner in (a, b):
            corner = faces[face, position]
    return corner


@njit(**COMPILED)
def _edges_by_lower_vertex(
    num_vertices: int, faces: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Sort the sides of all faces by lower vertex: starts (V + 1,), higher vertices and faces (3 F,)."""
    starts = np.zeros(num_vertices + 1, np.int32)
    for face in range(faces.shape[0]):
        for corner in range(3):
            starts[min(faces[face, corner], faces[face, (corner + 1) % 3]) + 1] += 1
    for vertex in range(num_vertices):
        starts[vertex + 1] += starts[vertex]
    cursor = starts[:-1].copy()
    far_ends, owners = np.empty(3 * faces.shape[0], np.int32), np.empty(3 * faces.shape[0], np.int32)
    for face in range(faces.shape[0]):
        for corner in range(3):
            a, b = faces[face, corner], faces[face, (corner + 1) % 3]
            place = cursor[min(a, b)]
            cursor[min(a, b)] += 1
            far_ends[place], owners[place] = max(a, b), face
    return starts, far_ends, owners


@njit(**COMPILED)
def _claim_duplicates(far_ends: NDArray[np.int32], first: int, stop: int) -> tuple[int, int]:
    """Count the sides equal to the first one, mark the others as done (-1), and return the last one too."""
    multiplicity, last = 1, first
    for other in range(first + 1, stop):
        if far_ends[other] == far_ends[first]:
            multiplicity += 1
            last = other
            far_ends[other] = -1
    return multiplicity, last
