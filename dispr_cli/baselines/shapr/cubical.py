"""Components and voids of a volume by union and find: what the topological loss needs, without gudhi.

Voxels are the closed top cells of a cubical complex, so bright voxels touch across corners and dark ones
across faces only. Voids of sublevel sets are components of what is not yet in them (Alexander duality), so
one descending sweep finds them as one ascending sweep finds components.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FACES = np.array([(0, 0, 1), (0, 1, 0), (1, 0, 0)], np.int64)
CORNERS = np.array([(z, y, x) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1)], np.int64)[14:]
"""Half of a voxel's neighbours; the other half lies opposite."""


def component_pairs(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Voxels at which components of sublevel sets are born and where they join an elder one.

    Parameters
    ----------
    values
        (D, H, W).

    Returns
    -------
    (K, 2) indices into the flattened volume; pairs of equal values are left out, as is the eldest component.
    """
    order = np.argsort(values, axis=None, kind="stable")
    return _joins(values, order, CORNERS, False)[:, ::-1]


def void_pairs(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Voxels at which voids of sublevel sets are enclosed and filled; see :func:`component_pairs`."""
    order = np.argsort(-values, axis=None, kind="stable")
    return _joins(values, order, FACES, True)


@njit(cache=True, nogil=True)
def _joins(
    values: NDArray[np.float64], order: NDArray[np.int64], half: NDArray[np.int64], open_border: bool
) -> NDArray[np.int64]:
    """Sweep voxels in order; (joining voxel, first voxel) of every set that joins one begun before it.

    With an open border everything that reaches it belongs to the outside, which was there before all voxels.
    """
    depth, height, width = values.shape
    flat, total = values.ravel(), values.size
    outside = total
    parent = np.full(total + 1, -1, np.int64)  # -1: not swept yet
    # Of each set: the place in the order at which it began.
    begun = np.full(total + 1, -1, np.int64)
    parent[outside] = outside
    pairs, count = np.empty((total, 2), np.int64), 0
    for place in range(total):
        voxel = order[place]
        parent[voxel], begun[voxel] = voxel, place
        z, y, x = voxel // (height * width), voxel // width % height, voxel % width
        for side in range(2 * len(half) + 1):
            if side == 2 * len(half):
                border = z == 0 or y == 0 or x == 0 or z == depth - 1 or y == height - 1 or x == width - 1
                if not (open_border and border):
                    continue
                other = outside
            else:
                sign = 1 if side % 2 else -1
                dz, dy, dx = half[side // 2]
                nz, ny, nx = z + sign * dz, y + sign * dy, x + sign * dx
                if not (0 <= nz < depth and 0 <= ny < height and 0 <= nx < width):
                    continue
                other = (nz * height + ny) * width + nx
                if parent[other] < 0:
                    continue
            first, second = _root(parent, voxel), _root(parent, other)
            if first == second:
                continue
            elder, younger = (first, second) if begun[first] < begun[second] else (second, first)
            start = order[begun[younger]]
            if flat[start] != flat[voxel]:
                pairs[count, 0], pairs[count, 1] = voxel, start
                count += 1
            parent[younger] = elder
    return pairs[:count].copy()


@njit(cache=True, nogil=True)
def _root(parent: NDArray[np.int64], member: int) -> int:
    root = member
    while parent[root] != root:
        root = parent[root]
    while parent[member] != root:
        parent[member], member = root, parent[member]
    return root
