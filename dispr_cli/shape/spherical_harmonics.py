"""Real spherical harmonics on a quadrature grid: the angular power of functions on the sphere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispr_cli.shape.compiled import COMPILED


@dataclass(frozen=True, eq=False)
class SphereGrid:
    """Directions with weights that integrate harmonics up to twice the highest degree exactly.

    Attributes
    ----------
    directions
        (N, 3) unit vectors (z, y, x): Gauss-Legendre in z, even in azimuth.
    weights
        (N,) adding up to 4 pi.
    harmonics
        (N, (L + 1)²) orthonormal real harmonics, degree by degree.
    max_degree
        L.
    """

    directions: NDArray[np.float64]
    weights: NDArray[np.float64]
    harmonics: NDArray[np.float64]
    max_degree: int

    def power(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the power of each degree: the sum of its squared coefficients.

        Parameters
        ----------
        values
            (..., N) functions on the directions.

        Returns
        -------
        ndarray
            (..., L + 1), unchanged by rotations of the functions.
        """
        coefficients = (values * self.weights) @ self.harmonics
        starts = np.arange(self.max_degree + 1) ** 2
        power: NDArray[np.float64] = np.add.reduceat(coefficients**2, starts, axis=-1)
        return power


@cache
def sphere_grid(max_degree: int, num_polar: int, num_azimuth: int) -> SphereGrid:
    """Lay out a grid.

    Parameters
    ----------
    max_degree
        L, highest degree of the harmonics.
    num_polar, num_azimuth
        Nodes along z and around it, more than L and 2 L.
    """
    nodes, node_weights = np.polynomial.legendre.leggauss(num_polar)
    azimuths = 2 * np.pi * np.arange(num_azimuth) / num_azimuth
    z, azimuth = (array.ravel() for array in np.meshgrid(nodes, azimuths, indexing="ij"))
    radius = np.sqrt(1 - z**2)
    directions = np.stack([z, radius * np.sin(azimuth), radius * np.cos(azimuth)], axis=1)
    weights = np.repeat(node_weights, num_azimuth) * 2 * np.pi / num_azimuth
    return SphereGrid(directions, weights, _harmonics(z, azimuth, max_degree), max_degree)


def _harmonics(z: NDArray[np.float64], azimuth: NDArray[np.float64], max_degree: int) -> NDArray[np.float64]:
    columns = {}
    for order in range(max_degree + 1):
        legendre = _normalised_legendre(z, order, max_degree)
        for degree in range(order, max_degree + 1):
            if order == 0:
                columns[degree, 0] = legendre[degree]
                continue
            columns[degree, order] = np.sqrt(2) * legendre[degree] * np.cos(order * azimuth)
            columns[degree, -order] = np.sqrt(2) * legendre[degree] * np.sin(order * azimuth)
    return np.stack([columns[d, m] for d in range(max_degree + 1) for m in range(-d, d + 1)], axis=1)


def _normalised_legendre(
    z: NDArray[np.float64], order: int, max_degree: int
) -> dict[int, NDArray[np.float64]]:
    """Associated Legendre functions with the harmonics' norm, by the standard recurrence in the degree."""
    value = np.full(len(z), np.sqrt(1 / (4 * np.pi)))
    for m in range(1, order + 1):
        value = value * np.sqrt((2 * m + 1) / (2 * m)) * np.sqrt(1 - z**2)
    found = {order: value, order + 1: np.sqrt(2 * order + 3) * z * value}
    for n in range(order + 2, max_degree + 1):
        a = np.sqrt((4 * n**2 - 1) / (n**2 - order**2))
        b = np.sqrt(((n - 1) ** 2 - order**2) / (4 * (n - 1) ** 2 - 1))
        found[n] = a * (z * found[n - 1] - b * found[n - 2])
    return found


@njit(**COMPILED)
def sample_shells(
    occupancy: NDArray[np.float32],
    centre: NDArray[np.float64],
    radii: NDArray[np.float64],
    directions: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Interpolate a volume on concentric spheres.

    Parameters
    ----------
    occupancy
        (Z, Y, X) float32, C-contiguous; 0 beyond the grid.
    centre
        (3,) (z, y, x) in voxels.
    radii
        (R,) in voxels.
    directions
        (N, 3) unit vectors.

    Returns
    -------
    ndarray
        (R, N) trilinear values.
    """
    depth, height, width = occupancy.shape
    samples = np.zeros((len(radii), len(directions)))
    for shell in range(len(radii)):
        for ray in range(len(directions)):
            z = centre[0] + radii[shell] * directions[ray, 0]
            y = centre[1] + radii[shell] * directions[ray, 1]
            x = centre[2] + radii[shell] * directions[ray, 2]
            z0, y0, x0 = int(np.floor(z)), int(np.floor(y)), int(np.floor(x))
            fz, fy, fx = z - z0, y - y0, x - x0
            total = 0.0
            for corner in range(8):
                cz, cy, cx = z0 + (corner >> 2), y0 + ((corner >> 1) & 1), x0 + (corner & 1)
                if 0 <= cz < depth and 0 <= cy < height and 0 <= cx < width:
                    share = fz if corner & 4 else 1.0 - fz
                    share *= fy if corner & 2 else 1.0 - fy
                    share *= fx if corner & 1 else 1.0 - fx
                    total += share * occupancy[cz, cy, cx]
            samples[shell, ray] = total
    return samples
