"""What cells are built from: discs, ellipsoids, deformations and random orientations.

Sizes and the discocyte's formula: Evans & Fung 1972 (Microvasc. Res. 4, 335). Lengths are micrometres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dispr_cli.inputs.phantoms import surfaces

EVANS_FUNG_300 = (3.91, 0.81, 7.83, -4.39)
"""Radius and thickness coefficients at 300 mOsm, in um: 7.82 um across, 94 fL."""
EVANS_FUNG_217 = (3.80, 2.10, 7.58, -5.59)
EVANS_FUNG_131 = (3.39, 6.78, 0.0, 0.0)

NO_TABLE = np.zeros((1, 1), np.float32)


@dataclass(frozen=True, slots=True)
class Body:
    """One closed surface: its kind and parameters (see :mod:`surfaces`), and where it sits.

    ``rotation`` (3, 3) and ``centre`` (3,) place it among the others: point = rotation @ own + centre.
    """

    kind: int
    parameters: NDArray[np.float64]
    reach: float
    table: NDArray[np.float32] = field(default_factory=lambda: NO_TABLE)
    waves: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 7)))
    rotation: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    centre: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))


@dataclass(frozen=True, slots=True)
class Draft:
    """A cell before it is placed under the microscope.

    Attributes
    ----------
    bodies
        What it is made of.
    volume_um3
        The volume it shall have.
    tries
        How well it settles: the most stable of so many random orientations is taken.
    pressed
        Voxels by which it is flattened at most where it lies on the glass.
    cytosol
        Typical stain inside the cell, see :class:`microscope.Optics`.
    traits
        The numbers drawn, for the table of phantoms.
    """

    bodies: tuple[Body, ...]
    volume_um3: float
    tries: int
    pressed: float
    cytosol: float
    traits: dict[str, float]


def bounded_normal(rng: np.random.Generator, mean: float, deviation: float, width: float = 2.0) -> float:
    """Draw from a normal distribution, folded back to ``width`` deviations around the mean."""
    return float(mean + deviation * np.clip(rng.standard_normal(), -width, width))


def draw_tries(rng: np.random.Generator, more: float) -> int:
    """How many orientations a cell tries out before it comes to rest: one and a Poisson number more."""
    return 1 + int(rng.poisson(more))


def random_rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """Rotation matrix drawn evenly from all (a random unit quaternion), (3, 3)."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def even_directions(rng: np.random.Generator, count: int, jitter: float) -> NDArray[np.float64]:
    """Spread unit vectors on a turned Fibonacci spiral, shaken by ``jitter``; (count, 3)."""
    k = np.arange(count) + 0.5
    polar, azimuth = np.arccos(1 - 2 * k / count), np.pi * (1 + 5**0.5) * k
    points = np.stack(
        [np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)], axis=1
    )
    points = points @ random_rotation(rng).T + jitter * rng.standard_normal((count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def draw_waves(rng: np.random.Generator, strength: float, count: int = 3) -> NDArray[np.float64]:
    """Smooth deformation of the body as rows for :func:`surfaces.add_body`; strength in um."""
    waves = np.empty((count, 7))
    vectors = rng.standard_normal((count, 3))
    lengths = rng.uniform(0.35, 0.9, (count, 1))
    waves[:, :3] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) * lengths
    waves[:, 3] = rng.uniform(0, 2 * np.pi, count)
    waves[:, 4:] = strength / math.sqrt(count) * rng.standard_normal((count, 3))
    return waves


def disc(
    coefficients: tuple[float, float, float, float],
    curvature: float = 0.0,
    aspect: float = 1.0,
    waves: NDArray[np.float64] | None = None,
) -> Body:
    """Build a red-cell disc (radius and thickness coefficients in um), bent by ``curvature`` (1/um)."""
    parameters = np.array([*coefficients, curvature, math.sqrt(aspect)])
    waves = np.zeros((0, 7)) if waves is None else waves
    return Body(surfaces.DISC, parameters, coefficients[0] * 1.35 + 1.0, waves=waves)


def ellipsoid(semi_axes: tuple[float, float, float], waves: NDArray[np.float64] | None = None) -> Body:
    """Build an ellipsoid from its semi-axes (x, y, z) in um."""
    a, b, c = semi_axes
    mean = (a * b * c) ** (1 / 3)
    parameters = np.array([1, 0.1, 0, 0, 0, mean, a**-2, b**-2, c**-2, 0, 0, 0], float)
    waves = np.zeros((0, 7)) if waves is None else waves
    return Body(surfaces.LOBES, parameters, 1.3 * max(semi_axes) + 0.5, waves=waves)


def disc_coefficients(swelling: float) -> tuple[float, float, float, float]:
    """Evans & Fung's coefficients between 300 mOsm (swelling 0), 217 mOsm (1) and the sphere (2), in um."""
    first, second, third = map(np.array, (EVANS_FUNG_300, EVANS_FUNG_217, EVANS_FUNG_131))
    share = min(swelling, 1.0)
    mixed = (1 - share) * first + share * second
    if swelling > 1.0:
        mixed = (2 - swelling) * second + (swelling - 1) * third
    return tuple(float(value) for value in mixed)  # type: ignore[return-value]
