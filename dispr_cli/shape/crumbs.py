"""Crumbs beside a shape: pieces too small to be part of a cell.

Where a sample is undecided, its distance field comes near to zero in places apart from the cell, and a few
voxels end up inside. As a shape, a mesh or a number of pieces they say nothing.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispr_cli.config import FOREGROUND
from dispr_cli.shape.compiled import COMPILED

CRUMB = 0.02
"""Share of the largest piece below which another is a crumb: far above any that samples of real cells have
shown, far below the smaller of two cells that lie side by side."""


def remove_crumbs(occupancy: NDArray[np.uint8]) -> None:
    """Empty the crumbs of a volume in place, with the voxels partly inside that only they touch.

    Parameters
    ----------
    occupancy
        (D, H, W); inside from :data:`~dispr_cli.config.FOREGROUND` on. Pieces are apart where no two voxels
        share a face.
    """
    _remove(occupancy, CRUMB)


@njit(**COMPILED)
def _remove(occupancy: NDArray[np.uint8], share: float) -> None:
    depth, height = occupancy.shape[:2]
    rows, starts, ends, count = _runs(occupancy)
    parent = np.arange(count).astype(np.int32)
    for z in range(depth):
        for y in range(height):
            row = z * height + y
            if y > 0:
                _join(parent, starts, ends, rows, row, row - 1)
            if z > 0:
                _join(parent, starts, ends, rows, row, row - height)
    sizes = np.zeros(count, np.int64)
    for run in range(count):
        sizes[_root(parent, run)] += ends[run] - starts[run]
    if count == 0 or sizes.max() == sizes.sum():
        return
    least = share * sizes.max()
    crumbs = np.zeros(occupancy.shape, np.bool_)
    found = False
    for row in range(depth * height):
        for run in range(rows[row], rows[row + 1]):
            if sizes[_root(parent, run)] < least:
                crumbs[row // height, row % height, starts[run] : ends[run]] = True
                found = True
    if found:
        _empty(occupancy, crumbs)


@njit(**COMPILED)
def _runs(
    occupancy: NDArray[np.uint8],
) -> tuple[NDArray[np.int32], NDArray[np.int16], NDArray[np.int16], int]:
    """Neighbours inside along x: the first run of each row (D H + 1,), starts and ends, and how many."""
    depth, height, width = occupancy.shape
    most = depth * height * ((width + 1) // 2)
    rows = np.empty(depth * height + 1, np.int32)
    starts, ends = np.empty(most, np.int16), np.empty(most, np.int16)
    count = 0
    for z in range(depth):
        for y in range(height):
            rows[z * height + y] = count
            before = False
            for x in range(width):
                inside = occupancy[z, y, x] >= FOREGROUND
                if inside != before:
                    if inside:
                        starts[count] = x
                    else:
                        ends[count] = x
                        count += 1
                    before = inside
            if before:
                ends[count] = width
                count += 1
    rows[depth * height] = count
    return rows, starts, ends, count


@njit(**COMPILED)
def _join(
    parent: NDArray[np.int32],
    starts: NDArray[np.int16],
    ends: NDArray[np.int16],
    rows: NDArray[np.int32],
    row: int,
    other: int,
) -> None:
    """Join the runs of two neighbouring rows that share a face (union-find)."""
    a, b = rows[row], rows[other]
    while a < rows[row + 1] and b < rows[other + 1]:
        if starts[a] < ends[b] and starts[b] < ends[a]:
            first, second = _root(parent, a), _root(parent, b)
            parent[max(first, second)] = min(first, second)
        if ends[a] < ends[b]:
            a += 1
        else:
            b += 1


@njit(**COMPILED)
def _root(parent: NDArray[np.int32], run: int) -> int:
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


@njit(**COMPILED)
def _empty(occupancy: NDArray[np.uint8], crumbs: NDArray[np.bool_]) -> None:
    """Empty the crumbs, and voxels that touch, if only by a corner, a crumb and no other piece."""
    depth, height, width = occupancy.shape
    emptied = crumbs.copy()
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                if occupancy[z, y, x] == 0 or occupancy[z, y, x] >= FOREGROUND:
                    continue
                by_crumb, by_piece = False, False
                for k in range(max(z - 1, 0), min(z + 2, depth)):
                    for j in range(max(y - 1, 0), min(y + 2, height)):
                        for i in range(max(x - 1, 0), min(x + 2, width)):
                            if crumbs[k, j, i]:
                                by_crumb = True
                            elif occupancy[k, j, i] >= FOREGROUND:
                                by_piece = True
                if by_crumb and not by_piece:
                    emptied[z, y, x] = True
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                if emptied[z, y, x]:
                    occupancy[z, y, x] = 0
