"""A tree of boxes around a mesh's faces, to find the face nearest to a point (compiled).

The faces are sorted along a space-filling curve and taken eight by eight as leaves; eight leaves or nodes
have a node above them. What is compared with a point lies eight by eight in memory, so that one vector
instruction looks at all children of a node, or at all faces of a leaf.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispr_cli.shape.compiled import COMPILED, REORDERED
from dispr_cli.shape.triangles import nearest_in_triangle

WIDTH = 8
CURVE_BITS = 10
DEEPEST = 128
"""Nodes that can wait at once: seven on each of at most eleven levels, and one more."""

SHORT_OF = 1.0 - 1e-12
"""Bounds are taken a little lower, lest rounding rule the nearest face out."""


class FaceTree(NamedTuple):
    """Faces in curve order, and the boxes around them.

    Attributes
    ----------
    faces
        (F, 3) int32 in curve order.
    planes
        (leaves, 8, 8): of each leaf's faces unit normals (3), height over the origin, bounding sphere's
        centre (3) and radius; what pads the last leaf is infinitely far away.
    boxes
        (nodes, 6, 8): of each node's children lows (z, y, x) and highs; nodes level by level from the leaves'
        parents to the root, which is the last.
    starts
        (levels + 1,) where each level's nodes start.
    """

    faces: NDArray[np.int32]
    planes: NDArray[np.float64]
    boxes: NDArray[np.float64]
    starts: NDArray[np.int64]


def curve_order(places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Sort places (N, 3) along a Morton curve, so that neighbours in the list are neighbours in space."""
    low = places.min(axis=0)
    longest = float((places.max(axis=0) - low).max()) or 1.0
    return _order_along_curve(places, low, (2**CURVE_BITS - 1) / longest)


def face_tree(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    normals: NDArray[np.float64],
    curve: NDArray[np.int64],
) -> FaceTree:
    """Build the tree over a mesh's faces (F >= 1, 3) with their unit normals (F, 3).

    ``curve`` (V,) is the order of the vertices along the curve; faces follow their first corners.
    """
    counts = [-(-len(faces) // WIDTH)]
    while counts[-1] > 1 or len(counts) == 1:
        counts.append(-(-counts[-1] // WIDTH))
    starts = np.cumsum([0, *counts[1:]])
    ordered, planes, boxes = _filled(vertices, faces, normals, curve, starts)
    return FaceTree(ordered, planes, boxes, starts)


@njit(**COMPILED)
def _filled(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    normals: NDArray[np.float64],
    curve: NDArray[np.int64],
    starts: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
    planes = np.empty(((len(faces) + WIDTH - 1) // WIDTH, 8, WIDTH))
    planes[-1, :3], planes[-1, 3:7], planes[-1, 7] = 0.0, np.inf, 0.0
    boxes = np.empty((starts[-1], 6, WIDTH))
    boxes[:, :3], boxes[:, 3:] = np.inf, -np.inf
    order, ordered = _along_curve(faces, curve), np.empty_like(faces)
    for place in range(len(faces)):
        face, leaf, slot = order[place], place // WIDTH, place % WIDTH
        node, child = leaf // WIDTH, leaf % WIDTH
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ordered[place, 0], ordered[place, 1], ordered[place, 2] = a, b, c
        height, of_a, of_b, of_c = 0.0, 0.0, 0.0, 0.0
        for axis in range(3):
            p, q, r = vertices[a, axis], vertices[b, axis], vertices[c, axis]
            low, high = min(p, q, r), max(p, q, r)
            middle = 0.5 * (low + high)
            height += normals[face, axis] * p
            of_a, of_b, of_c = of_a + (p - middle) ** 2, of_b + (q - middle) ** 2, of_c + (r - middle) ** 2
            planes[leaf, axis, slot], planes[leaf, 4 + axis, slot] = normals[face, axis], middle
            boxes[node, axis, child] = min(boxes[node, axis, child], low)
            boxes[node, 3 + axis, child] = max(boxes[node, 3 + axis, child], high)
        planes[leaf, 3, slot], planes[leaf, 7, slot] = height, np.sqrt(max(of_a, of_b, of_c))
    for level in range(len(starts) - 2):
        for node in range(starts[level], starts[level + 1]):
            above = starts[level + 1] + (node - starts[level]) // WIDTH
            child = (node - starts[level]) % WIDTH
            for axis in range(3):
                low, high = np.inf, -np.inf
                for grandchild in range(WIDTH):
                    low = min(low, boxes[node, axis, grandchild])
                    high = max(high, boxes[node, 3 + axis, grandchild])
                boxes[above, axis, child], boxes[above, 3 + axis, child] = low, high
    return ordered, planes, boxes


@njit(**COMPILED)
def _along_curve(faces: NDArray[np.int32], curve: NDArray[np.int64]) -> NDArray[np.int32]:
    """Sort faces by the place of their first corners on the curve."""
    ranks = np.empty(len(curve), np.int32)
    for place in range(len(curve)):
        ranks[curve[place]] = place
    starts, order = np.zeros(len(curve) + 1, np.int32), np.empty(len(faces), np.int32)
    for face in range(len(faces)):
        starts[ranks[faces[face, 0]] + 1] += 1
    for place in range(len(curve)):
        starts[place + 1] += starts[place]
    for face in range(len(faces)):
        rank = ranks[faces[face, 0]]
        order[starts[rank]] = face
        starts[rank] += 1
    return order


@njit(**COMPILED)
def distances_to_faces(
    points: NDArray[np.float64],
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    planes: NDArray[np.float64],
    boxes: NDArray[np.float64],
    starts: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Measure the distance from each point (P, 3) to the nearest face of a tree; points in curve order."""
    distances = np.empty(len(points))
    waiting, bounds = np.empty((DEEPEST, 2), np.int64), np.empty(DEEPEST)
    nearer = np.empty(WIDTH)
    nearest, top = 0, len(starts) - 2
    for place in range(len(points)):
        z, y, x = points[place, 0], points[place, 1], points[place, 2]
        # The last point's face is near this one too, and a tight first bound leaves little to search.
        squared = nearest_in_triangle(z, y, x, vertices, faces, nearest)[0]
        waiting[0, 0], waiting[0, 1], bounds[0], count = top, 0, 0.0, 1
        while count > 0:
            count -= 1
            if bounds[count] >= squared:
                continue
            level, node = waiting[count, 0], waiting[count, 1]
            if level < 0:
                _bounds_of_faces(z, y, x, planes[node], np.sqrt(squared), nearer)
                for child in range(WIDTH):
                    if nearer[child] < squared:
                        face = WIDTH * node + child
                        found = nearest_in_triangle(z, y, x, vertices, faces, face)[0]
                        if found < squared:
                            nearest, squared = face, found
                continue
            _squared_to_boxes(z, y, x, boxes[starts[level] + node], nearer)
            first = count
            for child in range(WIDTH):
                if nearer[child] < squared:
                    # Sorted in, so that the nearest child is on top and looked at first.
                    slot = count
                    while slot > first and bounds[slot - 1] < nearer[child]:
                        bounds[slot] = bounds[slot - 1]
                        waiting[slot, 0], waiting[slot, 1] = waiting[slot - 1, 0], waiting[slot - 1, 1]
                        slot -= 1
                    bounds[slot] = nearer[child]
                    waiting[slot, 0], waiting[slot, 1] = level - 1, WIDTH * node + child
                    count += 1
        distances[place] = np.sqrt(squared)
    return distances


@njit(**REORDERED)
def _squared_to_boxes(
    z: float, y: float, x: float, box: NDArray[np.float64], squared: NDArray[np.float64]
) -> None:
    """Write the squared distances from a point to eight boxes (6, 8); infinity for empty ones."""
    for child in range(WIDTH):
        dz = max(0.0, max(box[0, child] - z, z - box[3, child]))
        dy = max(0.0, max(box[1, child] - y, y - box[4, child]))
        dx = max(0.0, max(box[2, child] - x, x - box[5, child]))
        squared[child] = dz * dz + dy * dy + dx * dx


@njit(**REORDERED)
def _bounds_of_faces(
    z: float, y: float, x: float, plane: NDArray[np.float64], enough: float, bound: NDArray[np.float64]
) -> None:
    """Bound the squared distances to eight faces (8, 8) from below; infinity where spheres are too far."""
    for face in range(WIDTH):
        height = plane[0, face] * z + plane[1, face] * y + plane[2, face] * x - plane[3, face]
        dz, dy, dx = plane[4, face] - z, plane[5, face] - y, plane[6, face] - x
        reach = (enough + plane[7, face]) ** 2
        beyond = (dz * dz + dy * dy + dx * dx) * SHORT_OF >= reach
        bound[face] = np.inf if beyond else height * height


@njit(**COMPILED)
def _order_along_curve(
    places: NDArray[np.float64], low: NDArray[np.float64], steps_per_length: float
) -> NDArray[np.int64]:
    """Sort stably by the mixed bits of the three coordinates: first by the lower half of the bits."""
    codes = np.zeros(len(places), np.int64)
    for place in range(len(places)):
        for axis in range(3):
            step = int((places[place, axis] - low[axis]) * steps_per_length)
            codes[place] |= _spread_bits(step) << (2 - axis)
    bits = 3 * CURVE_BITS // 2
    order, sorted_once = np.arange(len(places)), np.empty(len(places), np.int64)
    for half in range(2):
        starts = np.zeros(2**bits + 1, np.int64)
        for place in range(len(places)):
            starts[(codes[place] >> (bits * half) & (2**bits - 1)) + 1] += 1
        for code in range(2**bits):
            starts[code + 1] += starts[code]
        for rank in range(len(places)):
            key = codes[order[rank]] >> (bits * half) & (2**bits - 1)
            sorted_once[starts[key]] = order[rank]
            starts[key] += 1
        order, sorted_once = sorted_once, order
    return order


@njit(**COMPILED)
def _spread_bits(value: int) -> int:
    """Put two zeros between each two of a number's ten bits (Morton code by masks)."""
    value = (value | value << 16) & 0x030000FF
    value = (value | value << 8) & 0x0300F00F
    value = (value | value << 4) & 0x030C30C3
    return (value | value << 2) & 0x09249249
