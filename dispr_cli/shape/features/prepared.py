"""One shape with everything that several families of features need of it, computed once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import CellError
from dispr_cli.shape.convex_hull import ConvexHull, convex_hull
from dispr_cli.shape.mesh import Mesh, surface_mesh
from dispr_cli.shape.threshold import as_grey, foreground, otsu_threshold


class PreparedShape:
    """A volume and what is derived from it.

    Published features are measured on the *whole voxels* above Otsu's threshold, in voxels, as the notebooks
    of SHAPR do; the others on the smooth surface where the occupancy crosses one half, in micrometres.

    Parameters
    ----------
    volume
        (Z, Y, X): uint8 grey values, float occupancy in [0, 1], or bool.
    voxel_size_um
        Side of a voxel in micrometres; None measures in voxels.

    Raises
    ------
    CellError
        If the volume is not one of the three kinds, or holds no cell.
    """

    def __init__(self, volume: NDArray[Any], voxel_size_um: float | None = None) -> None:
        self.volume = np.asarray(volume)
        self.side = voxel_size_um or 1.0
        if not self.inside.any() or not self.filled.any():
            raise CellError(
                "The shape is empty: no voxel is at least half full, so there is nothing to measure."
            )
        if self.inside.all():
            raise CellError("The shape fills the whole grid, so it has no surface to measure.")

    @cached_property
    def filled(self) -> NDArray[np.bool_]:
        """(Z, Y, X) the voxels more than half full."""
        return foreground(self.volume)

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """(Z, Y, X) the voxels above Otsu's threshold."""
        return foreground(self.volume, otsu_threshold(self.volume))

    @cached_property
    def occupancy(self) -> NDArray[np.float32]:
        """(Z, Y, X) share of each voxel that is inside, in [0, 1]."""
        return as_grey(self.volume) / np.float32(255)

    @cached_property
    def projection(self) -> NDArray[np.int64]:
        """(Y, X) whole voxels counted along z."""
        return self.inside.sum(axis=0)

    @cached_property
    def surface(self) -> Mesh:
        """The smooth surface, closed, normals outwards, in L."""
        return surface_mesh(self.volume, (self.side,) * 3)

    @cached_property
    def hull(self) -> ConvexHull:
        """Convex hull of the smooth surface, in L."""
        return convex_hull(self.surface.vertices)

    @cached_property
    def voxel_surface(self) -> Mesh:
        """The surface around whole voxels, in voxels, open where the grid cuts the cell, normals inwards."""
        return surface_mesh(self.inside, closed=False).inside_out()

    @cached_property
    def voxel_hull(self) -> ConvexHull:
        """Convex hull of the whole voxels' face centres, in voxels."""
        if self.touches_border:
            return convex_hull(surface_mesh(self.inside).vertices)
        # Marching cubes puts the vertices of whole voxels onto their face centres.
        return convex_hull(self.voxel_surface.vertices)

    @cached_property
    def touches_border(self) -> bool:
        """Whether the grid cuts the cell."""
        faces = (self.inside[[0, -1]], self.inside[:, [0, -1]], self.inside[:, :, [0, -1]])
        return any(face.any() for face in faces)
