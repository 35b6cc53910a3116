"""Moments of a solid given as occupancy, up to the third order, in one pass over its voxels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispr_cli.shape.compiled import COMPILED


class SolidMoments(NamedTuple):
    """Mass and central moments, places in voxels (z, y, x).

    Attributes
    ----------
    mass
        Sum of the occupancy.
    centre
        (3,) centre of mass.
    second
        (3, 3) covariance of the places.
    third
        (3, 3, 3) third central moments divided by the mass.
    """

    mass: float
    centre: NDArray[np.float64]
    second: NDArray[np.float64]
    third: NDArray[np.float64]

    def third_along(self, direction: NDArray[np.float64]) -> float:
        """Return the third central moment along a unit vector (3,)."""
        return float(self.third @ direction @ direction @ direction)


def solid_moments(occupancy: NDArray[np.float32]) -> SolidMoments:
    """Compute the moments of an occupancy (Z, Y, X) that is not all 0."""
    sums = _raw_sums(np.ascontiguousarray(occupancy))
    mass = sums[0, 0, 0]
    centre = np.array([sums[1, 0, 0], sums[0, 1, 0], sums[0, 0, 1]]) / mass
    raw_second, raw_third = np.empty((3, 3)), np.empty((3, 3, 3))
    powers = np.eye(3, dtype=np.int64)
    for i in range(3):
        for j in range(3):
            raw_second[i, j] = sums[tuple(powers[i] + powers[j])] / mass
            for k in range(3):
                raw_third[i, j, k] = sums[tuple(powers[i] + powers[j] + powers[k])] / mass
    second = raw_second - np.outer(centre, centre)
    mixed = np.einsum("i,jk->ijk", centre, second)
    third = raw_third - mixed - mixed.transpose(1, 0, 2) - mixed.transpose(1, 2, 0)
    third -= np.einsum("i,j,k->ijk", centre, centre, centre)
    return SolidMoments(float(mass), centre, second, third)


@njit(**COMPILED)
def _raw_sums(occupancy: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum z^a y^b x^c over the occupancy for a + b + c <= 3: (4, 4, 4)."""
    depth, height, width = occupancy.shape
    sums = np.zeros((4, 4, 4))
    for z in range(depth):
        for y in range(height):
            rows = np.zeros(4)
            for x in range(width):
                weight = float(occupancy[z, y, x])
                if weight != 0.0:
                    rows[0] += weight
                    rows[1] += weight * x
                    rows[2] += weight * x * x
                    rows[3] += weight * x * x * x
            if rows[0] == 0.0:
                continue
            for a in range(4):
                for b in range(4 - a):
                    for c in range(4 - a - b):
                        sums[a, b, c] += float(z) ** a * float(y) ** b * rows[c]
    return sums
