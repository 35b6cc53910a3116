"""The separate closed surfaces of a mesh: the outsides of its pieces and the insides of its hollows."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispr_cli.shape.compiled import COMPILED
from dispr_cli.shape.mesh import Mesh


def piece_volumes(mesh: Mesh) -> NDArray[np.float64]:
    """Measure the volume within each connected surface of a closed mesh.

    Parameters
    ----------
    mesh
        With outward normals.

    Returns
    -------
    ndarray
        (K,) volumes in the cube of the mesh's unit: positive for a piece, negative for a hollow.
    """
    if mesh.is_empty:
        return np.zeros(0)
    return _volumes_by_root(mesh.vertices, mesh.faces, _roots(len(mesh.vertices), mesh.faces))


@njit(**COMPILED)
def _roots(num_vertices: int, faces: NDArray[np.int32]) -> NDArray[np.int32]:
    """Join the vertices of each face and return the lowest vertex of each one's surface (union-find)."""
    parent = np.arange(num_vertices).astype(np.int32)
    for face in range(len(faces)):
        for corner in range(1, 3):
            a, b = _find(parent, faces[face, 0]), _find(parent, faces[face, corner])
            parent[max(a, b)] = min(a, b)
    for vertex in range(num_vertices):
        parent[vertex] = parent[parent[vertex]]
    return parent


@njit(**COMPILED)
def _find(parent: NDArray[np.int32], vertex: int) -> int:
    while parent[vertex] != vertex:
        parent[vertex] = parent[parent[vertex]]
        vertex = parent[vertex]
    return vertex


@njit(**COMPILED)
def _volumes_by_root(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], roots: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Add up the tetrahedra from each surface's root vertex to its faces."""
    volumes, is_root = np.zeros(len(vertices)), np.zeros(len(vertices), np.bool_)
    for face in range(len(faces)):
        apex = roots[faces[face, 0]]
        a, b, c = vertices[faces[face, 0]], vertices[faces[face, 1]], vertices[faces[face, 2]]
        uz, uy, ux = a[0] - vertices[apex, 0], a[1] - vertices[apex, 1], a[2] - vertices[apex, 2]
        vz, vy, vx = b[0] - vertices[apex, 0], b[1] - vertices[apex, 1], b[2] - vertices[apex, 2]
        wz, wy, wx = c[0] - vertices[apex, 0], c[1] - vertices[apex, 1], c[2] - vertices[apex, 2]
        volumes[apex] += (
            uz * (vy * wx - vx * wy) + uy * (vx * wz - vz * wx) + ux * (vz * wy - vy * wz)
        ) / 6.0
        is_root[apex] = True
    return volumes[is_root]
