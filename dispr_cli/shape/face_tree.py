"""A tree of boxes around a mesh's faces, to find the face nearest to a point (compiled).

The faces are sorted along a space-filling curve and taken four by four as leaves of a complete binary tree.
Node 1 is the root, node n has the children 2 n and 2 n + 1, and every node knows the box around its faces.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispr_cli.shape.compiled import COMPILED
from dispr_cli.shape.triangles import nearest_in_triangle

LEAF_FACES = 4
CURVE_BITS = 10
DEEPEST = 64


def curve_order(places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Sort places (N, 3) along a Morton curve, so that neighbours in the list are neighbours in space."""
    low = places.min(axis=0)
    longest = float((places.max(axis=0) - low).max()) or 1.0
    steps = ((places - low) * ((2**CURVE_BITS - 1) / longest)).astype(np.int64)
    return np.argsort(_interleaved(steps), kind="stable")


@njit(**COMPILED)
def face_boxes(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """Build the tree over faces in curve order: boxes (nodes, 6), lows before highs, infinite where empty."""
    num_leaves = 1
    while num_leaves * LEAF_FACES < len(faces):
        num_leaves *= 2
    boxes = np.empty((2 * num_leaves, 6))
    for node in range(2 * num_leaves):
        for axis in range(3):
            boxes[node, axis], boxes[node, 3 + axis] = np.inf, -np.inf
    for face in range(len(faces)):
        leaf = num_leaves + face // LEAF_FACES
        for corner in range(3):
            for axis in range(3):
                place = vertices[faces[face, corner], axis]
                boxes[leaf, axis] = min(boxes[leaf, axis], place)
                boxes[leaf, 3 + axis] = max(boxes[leaf, 3 + axis], place)
    for node in range(num_leaves - 1, 0, -1):
        for axis in range(3):
            boxes[node, axis] = min(boxes[2 * node, axis], boxes[2 * node + 1, axis])
            boxes[node, 3 + axis] = max(boxes[2 * node, 3 + axis], boxes[2 * node + 1, 3 + axis])
    return boxes


@njit(**COMPILED)
def distances_to_faces(
    points: NDArray[np.float64],
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    normals: NDArray[np.float64],
    boxes: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Measure the distance from each point (P, 3) to the nearest face; points and faces in curve order."""
    distances = np.empty(len(points))
    waiting, waiting_distance = np.empty(DEEPEST, np.int64), np.empty(DEEPEST)
    nearest = 0
    for place in range(len(points)):
        z, y, x = points[place, 0], points[place, 1], points[place, 2]
        # The last point's face is near this one too, and a tight first bound leaves little to search.
        squared = nearest_in_triangle(z, y, x, vertices, faces, nearest)[0]
        waiting[0], waiting_distance[0], count = 1, 0.0, 1
        while count > 0:
            count -= 1
            if waiting_distance[count] >= squared:
                continue
            node = waiting[count]
            if 2 * node >= len(boxes):
                first = (node - len(boxes) // 2) * LEAF_FACES
                for face in range(first, min(first + LEAF_FACES, len(faces))):
                    nearer = _squared_to_face(z, y, x, vertices, faces, normals, face, squared)
                    if nearer < squared:
                        nearest, squared = face, nearer
                continue
            left = _squared_to_box(z, y, x, boxes, 2 * node)
            right = _squared_to_box(z, y, x, boxes, 2 * node + 1)
            # The nearer child is put on top, to be looked at first.
            far, near = (2 * node, 2 * node + 1) if left > right else (2 * node + 1, 2 * node)
            waiting[count], waiting_distance[count] = far, max(left, right)
            waiting[count + 1], waiting_distance[count + 1] = near, min(left, right)
            count += 2
        distances[place] = np.sqrt(squared)
    return distances


@njit(**COMPILED)
def _squared_to_box(z: float, y: float, x: float, boxes: NDArray[np.float64], node: int) -> float:
    dz = max(0.0, max(boxes[node, 0] - z, z - boxes[node, 3]))
    dy = max(0.0, max(boxes[node, 1] - y, y - boxes[node, 4]))
    dx = max(0.0, max(boxes[node, 2] - x, x - boxes[node, 5]))
    return dz * dz + dy * dy + dx * dx


@njit(**COMPILED)
def _squared_to_face(
    z: float,
    y: float,
    x: float,
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    normals: NDArray[np.float64],
    face: int,
    enough: float,
) -> float:
    """Return the squared distance to a face, or infinity where its plane alone rules it out."""
    corner = faces[face, 0]
    dz, dy, dx = z - vertices[corner, 0], y - vertices[corner, 1], x - vertices[corner, 2]
    height = dz * normals[face, 0] + dy * normals[face, 1] + dx * normals[face, 2]
    # Faces of one plane are equally high but for rounding; one of them is enough.
    if height * height >= enough * (1.0 - 1e-12):
        return np.inf
    return nearest_in_triangle(z, y, x, vertices, faces, face)[0]


@njit(**COMPILED)
def _interleaved(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Mix the bits of three coordinates (N, 3) into one number each (N,)."""
    codes = np.zeros(len(steps), np.int64)
    for place in range(len(steps)):
        for bit in range(CURVE_BITS):
            for axis in range(3):
                codes[place] |= ((steps[place, axis] >> bit) & 1) << (3 * bit + 2 - axis)
    return codes
