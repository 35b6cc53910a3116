"""The cell's surface as a closed triangle mesh at the occupancy's half level, with its area and volume."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import SURFACE_LEVEL
from dispr_cli.errors import ConfigError
from dispr_cli.shape.connectivity import (
    divergence_volume,
    face_geometry,
    shared_edges,
    signed_dihedral_angles,
    vertex_defects,
)
from dispr_cli.shape.face_tree import FaceTree, curve_order, face_tree
from dispr_cli.shape.threshold import as_grey

VoxelSize = tuple[float, float, float]
"""Voxel sides (z, y, x), in micrometres (or any unit of length: results are in that unit)."""

UNIT_VOXEL: VoxelSize = (1.0, 1.0, 1.0)

HAIR = np.float32(0.01)
"""Grey values nearer to the level than this count as outside."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles around the cell, with what several measures need of them computed once.

    Attributes
    ----------
    vertices
        (V, 3) float64, (z, y, x) in the unit of the voxel size; the centre of voxel (0, 0, 0) is the origin.
    faces
        (F, 3) int32, indices into ``vertices``. No vertex is stored twice. In the axes' order (z, y, x) the
        normals (b - a) x (c - a) point outwards.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]

    @property
    def is_empty(self) -> bool:
        """Whether there is no surface at all."""
        return len(self.faces) == 0

    @cached_property
    def face_normals(self) -> NDArray[np.float64]:
        """Unit normals (F, 3); 0 for a face without area."""
        return self._face_geometry[0]

    @cached_property
    def face_areas(self) -> NDArray[np.float64]:
        """Areas (F,) in the square of the mesh's unit."""
        return self._face_geometry[1]

    @cached_property
    def vertex_defects(self) -> NDArray[np.float64]:
        """2 pi minus the corner angles around each vertex (V,), in radians."""
        return vertex_defects(self.vertices, self.faces)

    @cached_property
    def vertex_areas(self) -> NDArray[np.float64]:
        """A third of the area of the faces around each vertex (V,)."""
        shares = np.repeat(self.face_areas / 3, 3)
        areas = np.bincount(self.faces.ravel(), shares, minlength=len(self.vertices))
        return areas.astype(np.float64, copy=False)

    @cached_property
    def edges(self) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Edges between two faces (E, 2) and their signed dihedral angles (E,), negative where concave."""
        edges, pairs = shared_edges(len(self.vertices), self.faces)
        return edges, signed_dihedral_angles(self.vertices, self.faces, self.face_normals, edges, pairs)

    @cached_property
    def curve(self) -> NDArray[np.int64]:
        """The vertices along a curve that fills space (V,)."""
        return curve_order(self.vertices)

    @cached_property
    def tree(self) -> FaceTree:
        """The faces in boxes, to find the one nearest to a point."""
        return face_tree(self.vertices, self.faces, self.face_normals, self.curve)

    def inside_out(self) -> Mesh:
        """Return the same surface with its normals pointing inwards, as scikit-image and trimesh see it."""
        return Mesh(self.vertices, np.ascontiguousarray(self.faces[:, ::-1]))

    @cached_property
    def _face_geometry(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return face_geometry(self.vertices, self.faces)


def surface_mesh(
    volume: NDArray[Any],
    voxel_size: VoxelSize = UNIT_VOXEL,
    *,
    level: float = SURFACE_LEVEL,
    closed: bool = True,
) -> Mesh:
    """Lay triangles where the occupancy crosses a level (marching cubes, Lewiner 2003, as scikit-image).

    Parameters
    ----------
    volume
        (Z, Y, X): uint8 grey values, float occupancy in [0, 1], or bool.
    voxel_size
        Voxel sides (z, y, x).
    level
        In grey values of [0, 255]. The default puts the surface between voxels by interpolation.
    closed
        Close the surface where the cell is cut by the grid's border; else it stays open there.

    Returns
    -------
    Mesh
        Empty if no voxel lies above the level.

    Raises
    ------
    CellError
        If the volume is not one of the three kinds.
    ConfigError
        If the voxel size is not three positive numbers.
    """
    size = checked_voxel_size(voxel_size)
    grey = as_grey(volume)
    box = _crop_box(grey - np.float32(level) >= HAIR)
    if box is None:
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int32))
    cropped, origin = _with_margin(grey, box, closed)
    cropped = _off_level(cropped, level)
    if not closed and (min(cropped.shape) < 2 or cropped.min() >= level):
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int32))
    return _march(cropped, origin, size, level)


def surface_area(volume: NDArray[Any], voxel_size: VoxelSize = UNIT_VOXEL) -> float:
    """Measure the area of the surface at the half level, sub-voxel and closed at the grid's border.

    Parameters
    ----------
    volume
        (Z, Y, X): uint8 grey values, float occupancy in [0, 1], or bool.
    voxel_size
        Voxel sides (z, y, x).

    Returns
    -------
    float
        Area in the square of the voxel size's unit; 0 for an empty volume.

    Raises
    ------
    CellError, ConfigError
        As :func:`surface_mesh`.
    """
    return mesh_area(surface_mesh(volume, voxel_size))


def mesh_area(mesh: Mesh) -> float:
    """Add up the triangles' areas."""
    return float(mesh.face_areas.sum())


def mesh_volume(mesh: Mesh) -> float:
    """Measure the enclosed volume by the divergence theorem for the field (z, 0, 0).

    For a closed mesh any field of divergence 1 gives the same; this one also matches trimesh on open meshes
    (Eberly, Polyhedral Mass Properties), and is not misled by holes at the sides of the grid.
    """
    return divergence_volume(mesh.vertices, mesh.faces)


def z_extent(mesh: Mesh) -> float:
    """Return how far the surface reaches along z, in the mesh's unit; 0 for an empty mesh."""
    return 0.0 if mesh.is_empty else float(np.ptp(mesh.vertices[:, 0]))


def checked_voxel_size(voxel_size: VoxelSize) -> NDArray[np.float64]:
    """Return the voxel sides as an array, or raise ConfigError if they are not three positive numbers."""
    size = np.asarray(voxel_size, dtype=np.float64)
    if size.shape != (3,) or not np.isfinite(size).all() or (size <= 0).any():
        raise ConfigError(
            f"The voxel size is {voxel_size}; three positive numbers (z, y, x) in micrometres were expected."
        )
    return size


def _off_level(grey: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    """Move values at the very level a hair outside, so that no two vertices fall onto one voxel's centre."""
    return np.where(np.abs(grey - np.float32(level)) < HAIR, np.float32(level) - HAIR, grey)


def _crop_box(inside: NDArray[np.bool_]) -> list[tuple[int, int]] | None:
    """Return the half-open range of the foreground along each axis, or None if there is none."""
    ranges = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        hits = np.flatnonzero(inside.any(axis=others))
        if len(hits) == 0:
            return None
        ranges.append((int(hits[0]), int(hits[-1]) + 1))
    return ranges


def _with_margin(
    grey: NDArray[np.float32], box: list[tuple[int, int]], closed: bool
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Cut out the foreground with one voxel around it; beyond the grid's border that voxel is outside (0)."""
    slices, padding, origin = [], [], []
    for (start, stop), length in zip(box, grey.shape, strict=True):
        slices.append(slice(max(start - 1, 0), min(stop + 1, length)))
        padding.append((int(closed and start == 0), int(closed and stop == length)))
        origin.append(slices[-1].start - padding[-1][0])
    return np.pad(grey[tuple(slices)], padding), np.array(origin, dtype=np.float64)


def _march(
    grey: NDArray[np.float32], origin: NDArray[np.float64], size: NDArray[np.float64], level: float
) -> Mesh:
    from skimage.measure import marching_cubes

    vertices, faces, _, _ = marching_cubes(grey, level, gradient_direction="ascent")
    return Mesh((vertices.astype(np.float64) + origin) * size, faces.astype(np.int32, copy=False))
