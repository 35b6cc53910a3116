"""Rotation-invariant descriptor of a surface on spheres around it (Kazhdan), as Simionato et al. 2021 use it.

The published descriptors of real cells were made by another program; this one follows the description of
it. How well both agree on the same cells is measured by ``benchmarks/descriptor_agreement.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import CellError
from dispr_cli.shape.mesh import surface_mesh
from dispr_cli.shape.spherical_harmonics import sphere_grid

NUM_SHELLS = 32
"""Spheres of radius 0.5, 1.5, ..., 31.5 after scaling."""

MAX_BAND = 15
SURFACE_RADIUS = 15.5
"""Radius to which the mean distance of the surface from the centre is scaled."""

BLUR = 4.5
"""Width of the Gaussian of the distance to the surface, on that scale.

Radius and width are those under which the descriptors of the 108 real cells agree best with the published
ones.
"""


def shell_descriptor(volume: NDArray[Any]) -> NDArray[np.float64]:
    """Describe a shape whatever its place, pose and size.

    The surface is centred at its bounding box and scaled by its mean distance from there. On each sphere the
    function exp(-(distance to the surface / blur)²) is expanded in spherical harmonics; the descriptor is
    the norm of each band times the sphere's radius, which makes it a norm over the sphere's area (Kazhdan,
    Funkhouser & Rusinkiewicz, SGP 2003).

    Parameters
    ----------
    volume
        (Z, Y, X): uint8 grey values, float occupancy in [0, 1], or bool; voxels are taken as cubes.

    Returns
    -------
    ndarray
        (32, 16): spheres from the inside outwards, bands 0 to 15.

    Raises
    ------
    CellError
        If the volume is empty or not one of the three kinds.
    """
    from scipy.spatial import cKDTree

    mesh = surface_mesh(volume)
    if mesh.is_empty:
        raise CellError("The shape is empty, so there is no surface to describe.")
    places = mesh.vertices[mesh.faces].mean(axis=1)
    places = places - (mesh.vertices.max(axis=0) + mesh.vertices.min(axis=0)) / 2
    mean = float(np.average(np.linalg.norm(places, axis=1), weights=mesh.face_areas))
    grid = sphere_grid(MAX_BAND, MAX_BAND + 5, 2 * MAX_BAND + 10)
    radii = np.arange(NUM_SHELLS) + 0.5
    wanted = (radii[:, None, None] * grid.directions).reshape(-1, 3)
    distances, _ = cKDTree(places * (SURFACE_RADIUS / mean)).query(wanted)
    near = np.exp(-((distances / BLUR) ** 2)).reshape(NUM_SHELLS, -1)
    norms: NDArray[np.float64] = np.sqrt(grid.power(near)) * radii[:, None]
    return norms
