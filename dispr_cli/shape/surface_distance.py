"""How far two surfaces lie apart: average and 95th-percentile distance, exact from vertices to triangles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dispr_cli.shape.face_tree import curve_order, distances_to_faces
from dispr_cli.shape.mesh import Mesh

PERCENTILE = 95.0

SURFACE_POINTS = 4000
"""Points of each surface from which distances are measured."""


def surface_distances(
    prediction: Mesh, truth: Mesh, max_points: int | None = SURFACE_POINTS
) -> tuple[float, float]:
    """Measure the average and the 95th-percentile distance between two surfaces.

    Points spread evenly over each surface stand for the area around them; from each the distance to the other
    surface is exact. The average runs over both surfaces; the percentile is the larger of those of the two
    directions (the robust Hausdorff distance).

    Parameters
    ----------
    prediction, truth
        Surfaces in one unit and one frame.
    max_points
        Of the vertices of each surface as many at most; all if None. 4000 change the average of real cells by
        less than 1 %.

    Returns
    -------
    tuple of float
        Average and 95th-percentile distance in the meshes' unit; NaN if either surface is empty.
    """
    if prediction.is_empty or truth.is_empty:
        return float("nan"), float("nan")
    totals, percentiles = [], []
    for surface, other in ((prediction, truth), (truth, prediction)):
        points, areas = spread_points(surface, max_points)
        distances = distances_to_surface(points, other)
        totals.append(float(distances @ areas))
        percentiles.append(weighted_percentile(distances, areas, PERCENTILE))
    area = float(prediction.face_areas.sum() + truth.face_areas.sum())
    return sum(totals) / area, max(percentiles)


def spread_points(
    mesh: Mesh, max_points: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Choose vertices evenly along a curve that fills space.

    Parameters
    ----------
    mesh
        A surface that is not empty.
    max_points
        How many vertices at most; all if None.

    Returns
    -------
    points
        (P, 3) vertices.
    areas
        (P,) the area around each and around those it stands for; together the whole surface.
    """
    order = mesh.curve
    step = 1 if max_points is None else -(-len(order) // max_points)
    starts = np.arange(0, len(order), step)
    middles = np.minimum(starts + step // 2, len(order) - 1)
    return mesh.vertices[order[middles]], np.add.reduceat(mesh.vertex_areas[order], starts)


def distances_to_surface(points: NDArray[np.float64], mesh: Mesh) -> NDArray[np.float64]:
    """Measure how far points lie from a surface, whichever side they are on.

    Parameters
    ----------
    points
        (P, 3) (z, y, x) in the mesh's unit. Neighbours in the list should be neighbours in space: it is
        faster.
    mesh
        A surface that is not empty.

    Returns
    -------
    ndarray
        (P,) distances to the nearest point of the nearest triangle.
    """
    points, order = np.asarray(points, dtype=np.float64), curve_order(points)
    distances = np.empty(len(points))
    distances[order] = distances_to_faces(points[order], mesh.vertices, *mesh.tree)
    return distances


def weighted_percentile(
    values: NDArray[np.float64], weights: NDArray[np.float64], percentage: float
) -> float:
    """Return the smallest value up to which the values hold at least a percentage of all weights."""
    order = np.argsort(values)
    held = np.cumsum(weights[order])
    place = int(np.searchsorted(held, held[-1] * percentage / 100))
    return float(values[order[min(place, len(order) - 1)]])
