"""Spherical-harmonic power around the centre of mass: of the outer radius and of the occupancy on spheres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dispr_cli.shape.features.feature import FORM, Feature
from dispr_cli.shape.features.prepared import PreparedShape
from dispr_cli.shape.moments import centre_of_mass
from dispr_cli.shape.spherical_harmonics import sample_shells, sphere_grid

MAX_DEGREE = 10
SHELL_STEP = 0.5
"""Voxels between two spheres."""

_KAZHDAN = "Kazhdan, Funkhouser & Rusinkiewicz 2003"

FEATURES = (
    *(
        Feature(
            f"radial_power_{degree:02d}",
            "1",
            f"power of degree {degree} of the outermost radius around the centre of mass / that of degree 0",
            "Brechbuehler, Gerig & Kuebler 1995",
            FORM,
        )
        for degree in range(1, MAX_DEGREE + 1)
    ),
    *(
        Feature(
            f"shell_power_{degree:02d}",
            "1",
            f"power of degree {degree} of the occupancy on spheres around the centre of mass, integrated "
            "over r² dr / the same of all degrees up to 10",
            _KAZHDAN,
            FORM,
        )
        for degree in range(MAX_DEGREE + 1)
    ),
    Feature(
        "radius_variation",
        "1",
        "standard deviation / mean of the outermost radius over directions",
        _KAZHDAN,
        FORM,
    ),
    Feature(
        "star_share",
        "1",
        "share of directions in which the surface is crossed once",
        "visibility from the centre",
        FORM,
    ),
)


def measure_harmonics_features(shape: PreparedShape) -> dict[str, float]:
    """Return the features listed above."""
    grid = sphere_grid(MAX_DEGREE, 20, 40)
    samples, radii = _sampled(shape, grid.directions)
    outer, crossings = outermost_radii(samples)
    radial = grid.power(outer)
    whole = slice(None, None, round(1 / SHELL_STEP))
    shells = (grid.power(samples[whole]) * (radii[whole] ** 2)[:, None]).sum(axis=0)
    shares = grid.weights / grid.weights.sum()
    mean = shares @ outer
    values = {f"radial_power_{d:02d}": float(radial[d] / radial[0]) for d in range(1, MAX_DEGREE + 1)}
    values |= {f"shell_power_{d:02d}": float(shells[d] / shells.sum()) for d in range(MAX_DEGREE + 1)}
    return values | {
        "radius_variation": float(np.sqrt(shares @ (outer - mean) ** 2) / mean),
        "star_share": float(shares[crossings == 1].sum()),
    }


def outermost_radii(samples: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find where each ray leaves the shape for the last time.

    Parameters
    ----------
    samples
        (R, N) occupancy along N rays at even steps from the centre; the last is outside.

    Returns
    -------
    radii
        (N,) in steps, between two samples by interpolation; 0 for a ray that meets nothing.
    crossings
        (N,) how often the ray leaves the shape.
    """
    leaves = (samples[:-1] > 0.5) & (samples[1:] <= 0.5)
    last = len(leaves) - 1 - leaves[::-1].argmax(axis=0)
    rays = np.arange(samples.shape[1])
    before, after = samples[last, rays], samples[last + 1, rays]
    met = leaves.any(axis=0)
    drop = np.where(met, before - after, 1.0)
    return np.where(met, last + (before - 0.5) / drop, 0.0), leaves.sum(axis=0)


def _sampled(
    shape: PreparedShape, directions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    corners = shape.hull.corners / shape.side
    centre = centre_of_mass(shape.filled)
    farthest = np.linalg.norm(corners - centre, axis=1).max() + 2.0
    radii = np.arange(0.0, farthest + SHELL_STEP, SHELL_STEP)
    return sample_shells(np.ascontiguousarray(shape.occupancy), centre, radii, directions), radii
