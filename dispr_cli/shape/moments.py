"""Where a cell's voxels lie and how they are spread: centre of mass, moments of inertia, convex hull."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dispr_cli.shape.mesh import UNIT_VOXEL, Mesh, VoxelSize


def centre_of_mass(inside: NDArray[np.bool_], voxel_size: VoxelSize = UNIT_VOXEL) -> NDArray[np.float64]:
    """Average the places of the voxels.

    Parameters
    ----------
    inside
        (Z, Y, X) bool.
    voxel_size
        Voxel sides (z, y, x).

    Returns
    -------
    ndarray
        (3,) (z, y, x) in the voxel size's unit, as the mesh's vertices; NaN if no voxel is set.
    """
    total = np.count_nonzero(inside)
    if total == 0:
        return np.full(3, np.nan)
    other_axes = ((1, 2), (0, 2), (0, 1))
    sums = [
        float(np.arange(size) @ inside.sum(axis=axes))
        for size, axes in zip(inside.shape, other_axes, strict=True)
    ]
    return np.array(sums) / total * np.asarray(voxel_size)


def inertia_eigenvalues(inside: NDArray[np.bool_], voxel_size: VoxelSize = UNIT_VOXEL) -> NDArray[np.float64]:
    """Return the principal moments of inertia divided by the mass, largest first, as scikit-image does.

    The inertia tensor is the trace of the places' covariance C times the identity, minus C.

    Parameters
    ----------
    inside
        (Z, Y, X) bool.
    voxel_size
        Voxel sides (z, y, x).

    Returns
    -------
    ndarray
        (3,) in the square of the voxel size's unit; NaN if no voxel is set.
    """
    places = np.argwhere(inside) * np.asarray(voxel_size)
    if len(places) == 0:
        return np.full(3, np.nan)
    # np.cov takes the places of a single voxel for one variable before numpy 2.2.
    from_centre = places - places.mean(0)
    covariance = from_centre.T @ from_centre / len(places)
    tensor = np.trace(covariance) * np.eye(3) - covariance
    return np.sort(np.linalg.eigvalsh(tensor))[::-1]


def convex_hull_volume(mesh: Mesh) -> float:
    """Measure the volume of the convex hull of the mesh's vertices; 0 for an empty mesh."""
    from scipy.spatial import ConvexHull

    return 0.0 if mesh.is_empty else float(ConvexHull(mesh.vertices).volume)
