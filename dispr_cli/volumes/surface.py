"""The surface of a volume as a closed mesh, in micrometres where the voxel size is known."""

from __future__ import annotations

import numpy as np
import trimesh
from numpy.typing import NDArray
from skimage.measure import marching_cubes

from dispr_cli.config import SURFACE_LEVEL


def surface_mesh(volume: NDArray[np.uint8], voxel_size_um: float | None) -> trimesh.Trimesh:
    """Return the surface at 127.5 (Lewiner's marching cubes), closed, with normals pointing outwards.

    Parameters
    ----------
    volume
        (Z, Y, X) uint8; a cell that touches the border of the grid is closed there.
    voxel_size_um
        Side of a voxel in micrometres; None gives a mesh in voxels.

    Returns
    -------
    trimesh.Trimesh
        Vertices as (x, y, z); the centre of the first voxel is the origin.

    Raises
    ------
    ValueError
        If the volume is empty and so has no surface.
    """
    if volume.max() < SURFACE_LEVEL:
        raise ValueError("an empty volume has no surface")
    vertices, faces, _, _ = marching_cubes(np.pad(volume, 1), SURFACE_LEVEL)
    # marching_cubes winds its faces for (z, y, x); the mirror to (x, y, z) is what turns them outwards.
    xyz = (vertices[:, ::-1] - 1.0) * (voxel_size_um or 1.0)
    return trimesh.Trimesh(xyz, faces)
