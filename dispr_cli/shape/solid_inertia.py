"""The inertia of the solid that a closed mesh encloses."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispr_cli.shape.compiled import COMPILED
from dispr_cli.shape.mesh import Mesh


def solid_inertia(mesh: Mesh) -> NDArray[np.float64]:
    """Compute the inertia tensor about the centre of mass, density 1.

    Signed tetrahedra from a point amid the vertices to each face add up the solid's second moments; for a
    closed mesh this equals Eberly's Polyhedral Mass Properties (2002).

    Parameters
    ----------
    mesh
        A closed surface with outward normals.

    Returns
    -------
    ndarray
        (3, 3) in the order z, y, x, in the fifth power of the mesh's unit.
    """
    apex = mesh.vertices.mean(axis=0)
    volume, first, second = _moments(mesh.vertices, mesh.faces, apex)
    if volume == 0.0:
        return np.zeros((3, 3))
    covariance = second - np.outer(first, first) / volume
    tensor: NDArray[np.float64] = np.trace(covariance) * np.eye(3) - covariance
    return tensor


@njit(**COMPILED)
def _moments(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], apex: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Integrate 1, p and p pᵀ over the solid, places relative to the apex."""
    volume, first, second = 0.0, np.zeros(3), np.zeros((3, 3))
    a, b, c = np.empty(3), np.empty(3), np.empty(3)
    for face in range(len(faces)):
        for axis in range(3):
            a[axis] = vertices[faces[face, 0], axis] - apex[axis]
            b[axis] = vertices[faces[face, 1], axis] - apex[axis]
            c[axis] = vertices[faces[face, 2], axis] - apex[axis]
        sixfold = (
            a[0] * (b[1] * c[2] - b[2] * c[1])
            + a[1] * (b[2] * c[0] - b[0] * c[2])
            + a[2] * (b[0] * c[1] - b[1] * c[0])
        )
        volume += sixfold / 6.0
        for row in range(3):
            total = a[row] + b[row] + c[row]
            first[row] += sixfold / 24.0 * total
            for column in range(3):
                products = a[row] * a[column] + b[row] * b[column] + c[row] * c[column]
                second[row, column] += (
                    sixfold / 120.0 * (products + total * (a[column] + b[column] + c[column]))
                )
    return volume, first, second
