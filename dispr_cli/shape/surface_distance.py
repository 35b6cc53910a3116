"""How far two surfaces lie apart: average and 95th-percentile distance, exact from vertices to triangles."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispr_cli.shape.compiled import COMPILED
from dispr_cli.shape.mesh import Mesh
from dispr_cli.shape.place_grid import (
    GRID_CELLS,
    cell_gap,
    cell_span,
    grid_around,
    sorted_into_cells,
)
from dispr_cli.shape.triangles import nearest_in_triangle

PERCENTILE = 95.0


def surface_distances(prediction: Mesh, truth: Mesh) -> tuple[float, float]:
    """Measure the average and the 95th-percentile distance between two surfaces.

    Each vertex stands for a third of the faces around it. The average runs over both surfaces; the
    percentile is the larger of those of the two directions (the robust Hausdorff distance).

    Parameters
    ----------
    prediction, truth
        Surfaces in one unit and one frame.

    Returns
    -------
    tuple of float
        Average and 95th-percentile distance in the meshes' unit; NaN if either surface is empty.
    """
    if prediction.is_empty or truth.is_empty:
        return float("nan"), float("nan")
    there = distances_to_surface(prediction.vertices, truth)
    back = distances_to_surface(truth.vertices, prediction)
    total = float(there @ prediction.vertex_areas + back @ truth.vertex_areas)
    average = total / float(prediction.face_areas.sum() + truth.face_areas.sum())
    return average, max(
        weighted_percentile(there, prediction.vertex_areas, PERCENTILE),
        weighted_percentile(back, truth.vertex_areas, PERCENTILE),
    )


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
    points = np.ascontiguousarray(points, dtype=np.float64)
    return _distances(points, mesh.vertices, mesh.faces, mesh.face_normals)


def weighted_percentile(
    values: NDArray[np.float64], weights: NDArray[np.float64], percentage: float
) -> float:
    """Return the smallest value up to which the values hold at least a percentage of all weights."""
    order = np.argsort(values)
    held = np.cumsum(weights[order])
    place = int(np.searchsorted(held, held[-1] * percentage / 100))
    return float(values[order[min(place, len(order) - 1)]])


@njit(**COMPILED)
def _distances(
    points: NDArray[np.float64],
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    normals: NDArray[np.float64],
) -> NDArray[np.float64]:
    centroids, sizes = _centroids(vertices, faces)
    largest = sizes.max()
    origin, shape, side = grid_around(centroids, GRID_CELLS // 2)
    starts, order = sorted_into_cells(centroids, origin, shape, side)
    faces, planes = _sorted_faces(faces, normals, centroids, sizes, order)
    fine_origin, fine_shape, fine_side = grid_around(points, 2 * GRID_CELLS)
    fine_starts, point_order = sorted_into_cells(points, fine_origin, fine_shape, fine_side)
    distances = np.empty(len(points))
    nearest_of_cube = np.full(len(fine_starts) - 1, -1, np.int32)
    nearest = 0
    for cube in range(len(fine_starts) - 1):
        for entry in range(fine_starts[cube], fine_starts[cube + 1]):
            place = point_order[entry]
            z, y, x = points[place, 0], points[place, 1], points[place, 2]
            nearest = _first_guess(z, y, x, planes, nearest, nearest_of_cube, cube, fine_shape)
            squared = _squared_to_centroid(z, y, x, planes, nearest)
            # The nearest centroid is cheap to find, and its face leaves few others to be looked at closely.
            nearest, _ = _searched(
                z, y, x, vertices, faces, planes, 0.0, starts, origin, shape, side, nearest, squared
            )
            squared = nearest_in_triangle(z, y, x, vertices, faces, nearest)[0]
            nearest, squared = _searched(
                z, y, x, vertices, faces, planes, largest, starts, origin, shape, side, nearest, squared
            )
            nearest_of_cube[cube] = nearest
            distances[place] = np.sqrt(squared)
    return distances


@njit(**COMPILED)
def _first_guess(
    z: float,
    y: float,
    x: float,
    planes: NDArray[np.float64],
    nearest: int,
    nearest_of_cube: NDArray[np.int32],
    cube: int,
    shape: NDArray[np.int64],
) -> int:
    """Choose the face to start from: the last point's, or that of a point in one of the cubes done before."""
    shortest = _squared_to_centroid(z, y, x, planes, nearest)
    for step_z in range(2):
        for step_y in range(-1, 2):
            for step_x in range(-1, 2):
                done = cube - (step_z * shape[1] + step_y) * shape[2] - step_x
                if 0 <= done < cube and nearest_of_cube[done] >= 0:
                    squared = _squared_to_centroid(z, y, x, planes, nearest_of_cube[done])
                    if squared < shortest:
                        nearest, shortest = nearest_of_cube[done], squared
    return nearest


@njit(**COMPILED)
def _squared_to_centroid(z: float, y: float, x: float, planes: NDArray[np.float64], face: int) -> float:
    dz, dy, dx = z - planes[face, 0], y - planes[face, 1], x - planes[face, 2]
    return dz * dz + dy * dy + dx * dx


@njit(**COMPILED)
def _searched(
    z: float,
    y: float,
    x: float,
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    planes: NDArray[np.float64],
    largest: float,
    starts: NDArray[np.int32],
    origin: NDArray[np.float64],
    shape: NDArray[np.int64],
    side: float,
    nearest: int,
    squared: float,
) -> tuple[int, float]:
    """Search the cubes that something nearer than the first guess can be in, in rows along x.

    With ``largest``, the longest way from a centroid to a corner of its face, the nearest face; with 0, the
    face with the nearest centroid.
    """
    reach = np.sqrt(squared) + largest
    first_z, last_z = cell_span(z, z, reach, origin[0], shape[0], side)
    first_y, last_y = cell_span(y, y, reach, origin[1], shape[1], side)
    per_side, along = 1.0 / side, x - origin[2]
    for row_z in range(first_z, last_z + 1):
        gap_z = cell_gap(z, row_z, origin[0], side)
        for row_y in range(first_y, last_y + 1):
            gap_y = cell_gap(y, row_y, origin[1], side)
            left = reach * reach - gap_z * gap_z - gap_y * gap_y
            if left < 0.0:
                continue
            half, row = np.sqrt(left), (row_z * shape[1] + row_y) * shape[2]
            first = starts[row + int(min(max((along - half) * per_side, 0.0), shape[2] - 1.0))]
            stop = starts[row + int(min(max((along + half) * per_side, 0.0), shape[2] - 1.0)) + 1]
            for face in range(first, stop):
                nearer = _squared_to_centroid(z, y, x, planes, face)
                if nearer >= reach * reach:
                    continue
                if largest > 0.0:
                    nearer = _squared_to_face(z, y, x, vertices, faces, planes, face, squared)
                if nearer < squared:
                    nearest, squared, reach = face, nearer, np.sqrt(nearer) + largest
    return nearest, squared


@njit(**COMPILED)
def _squared_to_face(
    z: float,
    y: float,
    x: float,
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    planes: NDArray[np.float64],
    face: int,
    enough: float,
) -> float:
    """Return the squared distance to a face, or less where even the disc around the face is no nearer."""
    dz, dy, dx = z - planes[face, 0], y - planes[face, 1], x - planes[face, 2]
    height = dz * planes[face, 3] + dy * planes[face, 4] + dx * planes[face, 5]
    if height * height >= enough:
        return height * height
    beside = np.sqrt(max(dz * dz + dy * dy + dx * dx - height * height, 0.0)) - planes[face, 6]
    to_disc = height * height + (beside * beside if beside > 0.0 else 0.0)
    # Rounding must not rule out a face that is as near as can be.
    if to_disc * (1.0 - 1e-9) >= enough:
        return to_disc
    return nearest_in_triangle(z, y, x, vertices, faces, face)[0]


@njit(**COMPILED)
def _centroids(
    vertices: NDArray[np.float64], faces: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the faces' centroids (F, 3) and the longest way from each to a corner (F,)."""
    centroids, sizes = np.empty((len(faces), 3)), np.empty(len(faces))
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        for axis in range(3):
            centroids[face, axis] = (vertices[a, axis] + vertices[b, axis] + vertices[c, axis]) / 3.0
        longest = 0.0
        for corner in range(3):
            squared = 0.0
            for axis in range(3):
                squared += (vertices[faces[face, corner], axis] - centroids[face, axis]) ** 2
            longest = max(longest, squared)
        # Rounding must not lose the nearest face.
        sizes[face] = np.sqrt(longest) * (1.0 + 1e-9)
    return centroids, sizes


@njit(**COMPILED)
def _sorted_faces(
    faces: NDArray[np.int32],
    normals: NDArray[np.float64],
    centroids: NDArray[np.float64],
    sizes: NDArray[np.float64],
    order: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Bring faces (F, 3) and their centroids, normals and sizes (F, 7) into the grid's order."""
    sorted_faces, planes = np.empty((len(faces), 3), np.int32), np.empty((len(faces), 7))
    for place in range(len(order)):
        for axis in range(3):
            sorted_faces[place, axis] = faces[order[place], axis]
            planes[place, axis] = centroids[order[place], axis]
            planes[place, 3 + axis] = normals[order[place], axis]
        planes[place, 6] = sizes[order[place]]
    return sorted_faces, planes
