"""Minkowski functionals of the solid, the lengths made of them, and its pieces, handles and hollows."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispr_cli.shape.compiled import COMPILED
from dispr_cli.shape.features.feature import ANY_POSE, FORM, Feature
from dispr_cli.shape.features.prepared import PreparedShape
from dispr_cli.shape.mesh import Mesh, mesh_area, mesh_volume
from dispr_cli.shape.surface_pieces import piece_volumes

_HADWIGER = "Hadwiger 1957; polyhedra: Steiner's formula"
_SHAPEFINDERS = "Sahni, Sathyaprakash & Shandarin 1998"

FEATURES = (
    Feature(
        "integrated_mean_curvature",
        "L",
        "M, sum over edges of length times dihedral angle / 2",
        _HADWIGER,
        ANY_POSE,
    ),
    Feature("mean_breadth", "L", "M / (2 pi), the mean width where the shape is convex", _HADWIGER, ANY_POSE),
    Feature("euler_number", "1", "(vertices - edges + faces) / 2: pieces - handles + hollows", "Euler", FORM),
    Feature("num_pieces", "1", "closed surfaces with the solid inside", "topology", FORM),
    Feature("num_hollows", "1", "closed surfaces with the solid outside", "topology", FORM),
    Feature("shapefinder_thickness", "L", "3 V / S", _SHAPEFINDERS, ANY_POSE),
    Feature("shapefinder_breadth", "L", "S / M", _SHAPEFINDERS, ANY_POSE),
    Feature("shapefinder_length", "L", "M / (4 pi)", _SHAPEFINDERS, ANY_POSE),
    Feature("planarity", "1", "(breadth - thickness) / (breadth + thickness)", _SHAPEFINDERS, FORM),
    Feature("filamentarity", "1", "(length - breadth) / (length + breadth)", _SHAPEFINDERS, FORM),
)


def measure_minkowski_features(shape: PreparedShape) -> dict[str, float]:
    """Return the features listed above."""
    bending = integrated_mean_curvature(shape.surface)
    area = mesh_area(shape.surface)
    thickness, breadth = 3 * mesh_volume(shape.surface) / area, area / bending
    length = bending / (4 * np.pi)
    pieces = piece_volumes(shape.surface)
    return {
        "integrated_mean_curvature": bending,
        "mean_breadth": bending / (2 * np.pi),
        "euler_number": euler_number(shape.surface),
        "num_pieces": float((pieces > 0).sum()),
        "num_hollows": float((pieces < 0).sum()),
        "shapefinder_thickness": thickness,
        "shapefinder_breadth": breadth,
        "shapefinder_length": length,
        "planarity": (breadth - thickness) / (breadth + thickness),
        "filamentarity": (length - breadth) / (length + breadth),
    }


def integrated_mean_curvature(mesh: Mesh) -> float:
    """Add up half of each edge's length times its dihedral angle; 4 pi R for a sphere of radius R."""
    edges, angles = mesh.edges
    return float(_bending(mesh.vertices, edges, angles))


def euler_number(mesh: Mesh) -> float:
    """Return half of vertices - edges + faces of a closed mesh: 1 for a ball, 0 for a torus."""
    return float((len(mesh.vertices) - 1.5 * len(mesh.faces) + len(mesh.faces)) / 2)


@njit(**COMPILED)
def _bending(vertices: NDArray[np.float64], edges: NDArray[np.int32], angles: NDArray[np.float64]) -> float:
    total = 0.0
    for edge in range(len(edges)):
        squared = 0.0
        for axis in range(3):
            squared += (vertices[edges[edge, 0], axis] - vertices[edges[edge, 1], axis]) ** 2
        total += 0.5 * np.sqrt(squared) * angles[edge]
    return total
