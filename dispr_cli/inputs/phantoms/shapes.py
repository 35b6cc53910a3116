"""The nine shapes of red blood cells, each drawn with its natural variation.

Sizes and the discocyte's formula: Evans & Fung 1972 (Microvasc. Res. 4, 335). Lengths are micrometres,
volumes femtolitres (um³); a class's volume is drawn apart from its shape and set by scaling.
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
    cytosol
        Typical stain inside the cell, see :class:`microscope.Optics`.
    traits
        The numbers drawn, for the table of phantoms.
    """

    bodies: tuple[Body, ...]
    volume_um3: float
    tries: int
    cytosol: float
    traits: dict[str, float]


def bounded_normal(rng: np.random.Generator, mean: float, deviation: float, width: float = 2.0) -> float:
    """Draw from a normal distribution, folded back to ``width`` deviations around the mean."""
    return float(mean + deviation * np.clip(rng.standard_normal(), -width, width))


def _tries(rng: np.random.Generator, more: float) -> int:
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
    """Unit vectors on a turned Fibonacci spiral, shaken by ``jitter``; (count, 3)."""
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


def draw_spherocyte(rng: np.random.Generator) -> Draft:
    """Sphere, hardly deformed."""
    axes = np.exp(0.045 * rng.standard_normal(3))
    volume = bounded_normal(rng, 112.0, 20.0)
    body = ellipsoid(tuple(3.0 * axes), draw_waves(rng, rng.uniform(0.0, 0.15)))
    return Draft((body,), volume, 1, 0.25, {"longest_to_shortest": float(axes.max() / axes.min())})


def draw_discocyte(rng: np.random.Generator) -> Draft:
    """Evans & Fung's biconcave disc, more or less swollen, oval and warped."""
    swelling = abs(bounded_normal(rng, 0.0, 0.35))
    aspect = 1.0 + abs(bounded_normal(rng, 0.0, 0.12))
    curvature = abs(bounded_normal(rng, 0.0, 0.05))
    body = disc(disc_coefficients(swelling), curvature, aspect, draw_waves(rng, rng.uniform(0.0, 0.35)))
    traits = {"swelling": swelling, "aspect": aspect, "curvature_per_um": curvature}
    return Draft((body,), bounded_normal(rng, 94.0, 14.0), _tries(rng, 2.5), 0.22, traits)


def draw_stomatocyte(rng: np.random.Generator) -> Draft:
    """Bowl: a disc whose mid-surface is bent into a cap, from shallow (I) to nearly closed (II)."""
    opening = rng.uniform(0.45, 1.75)
    radius, c0, c1, c2 = disc_coefficients(bounded_normal(rng, 0.55, 0.3, 1.6))
    aspect = 1.0 + abs(bounded_normal(rng, 0.0, 0.08))
    body = disc((radius, c0, c1, c2), opening / radius, aspect, draw_waves(rng, rng.uniform(0.0, 0.3)))
    traits = {"cap_angle_rad": opening, "aspect": aspect}
    return Draft((body,), bounded_normal(rng, 97.0, 13.0), _tries(rng, 2.0), 0.22, traits)


def _spiked(
    rng: np.random.Generator, directions: NDArray[np.float64], heights: NDArray[np.float64],
    sharpness: NDArray[np.float64], swelling: float, warp: float,
) -> Body:  # fmt: skip
    table_directions = surfaces.table_directions()
    base = np.array([*disc_coefficients(swelling), 0.0, 1.0])
    radii = surfaces.disc_radii(table_directions, base)
    # exp(kappa (n . n_i - 1)): spikes of angular width 1 / sqrt(kappa) on the base.
    spikes = np.exp(sharpness * (table_directions @ directions.T - 1.0)) @ heights
    table = (radii * (1.0 + spikes)).astype(np.float32)
    waves = draw_waves(rng, warp)
    return Body(surfaces.RADIAL, np.zeros(1), 1.15 * float(table.max()) + 0.5, table, waves)


def draw_echinocyte(rng: np.random.Generator) -> Draft:
    """Disc to sphere with 10 to 30 even spikes, crenated disc (I) to spiny sphere (III)."""
    count = int(rng.integers(10, 31))
    stage = rng.uniform(0.0, 1.0)
    swelling = 0.3 + 1.6 * stage * rng.uniform(0.7, 1.0)
    height = bounded_normal(rng, 0.32, 0.09)
    heights = height * rng.uniform(0.75, 1.25, count)
    sharpness = rng.uniform(0.8, 1.6) * count * np.ones(count)
    directions = even_directions(rng, count, 0.06)
    body = _spiked(rng, directions, heights, sharpness, swelling, rng.uniform(0.0, 0.2))
    traits = {"spikes": count, "spike_height": height, "swelling": swelling}
    return Draft((body,), bounded_normal(rng, 94.0, 14.0), _tries(rng, 1.5), 0.22, traits)


def draw_acanthocyte(rng: np.random.Generator) -> Draft:
    """Disc to sphere with 3 to 20 spikes of uneven place, height and width."""
    count = int(rng.integers(3, 21))
    swelling = rng.uniform(0.4, 1.9)
    heights = np.clip(rng.gamma(3.0, 0.13, count), 0.08, 0.85)
    directions = even_directions(rng, count, 0.5)
    body = _spiked(rng, directions, heights, rng.uniform(8.0, 35.0, count), swelling, rng.uniform(0.0, 0.35))
    traits = {"spikes": count, "spike_height": float(heights.mean()), "swelling": swelling}
    return Draft((body,), bounded_normal(rng, 94.0, 14.0), _tries(rng, 1.5), 0.22, traits)


def draw_knizocyte(rng: np.random.Generator) -> Draft:
    """Three fins around an axis: the section R(1 + a cos 3 phi), with sharper and uneven lobes."""
    x, y, z = np.moveaxis(surfaces.table_directions(), -1, 0)
    azimuths = 2 * np.pi / 3 * np.arange(3) + 0.16 * rng.standard_normal(3)
    lengths = rng.uniform(0.8, 1.1, 3)
    sharpness = rng.uniform(6.0, 14.0)
    around = np.arctan2(y, x)[..., None]
    fins = np.exp(sharpness * (np.cos(around - azimuths) - 1.0)) @ lengths
    waist = rng.uniform(0.15, 0.28)
    across = np.hypot(x, y)
    # Seen along the fins the cell is a disc: every section through the axis is a half ellipse.
    axis_length = rng.uniform(0.8, 1.05)
    section = waist + (1.0 - waist) * fins
    radii = 3.9 / np.sqrt((across / section) ** 2 + (z / axis_length) ** 2)
    body = Body(
        surfaces.RADIAL, np.zeros(1), 1.15 * float(radii.max()) + 0.5, radii.astype(np.float32),
        draw_waves(rng, rng.uniform(0.05, 0.45)),
    )  # fmt: skip
    traits = {"waist": waist, "sharpness": sharpness, "axis_length": axis_length}
    return Draft((body,), bounded_normal(rng, 80.0, 11.0), _tries(rng, 3.0), 0.12, traits)


def _inset_maximum(parameters: NDArray[np.float64]) -> float:
    reach = max(parameters[5], parameters[6])
    line = np.linspace(-reach, reach, 33)
    return max(surfaces.planform_inset(parameters, x, y) for x in line for y in line)


def draw_bites(rng: np.random.Generator, a: float, b: float) -> list[float]:
    """Circles that cut the outline of a keratocyte: small bites, long straight cuts, or a lens."""
    circles: list[float] = []
    start = rng.uniform(0, 2 * np.pi)
    for k in range(int(rng.choice([1, 2], p=[0.65, 0.35]))):
        azimuth = start + k * rng.uniform(1.4, 3.6)
        rim = 1 / math.hypot(math.cos(azimuth) / a, math.sin(azimuth) / b)
        style, depth = rng.uniform(), rng.uniform(0.15, 0.6)
        radius = rng.uniform(0.8, 2.2) if style < 0.5 else rng.uniform(3.5, 12.0)
        if style > 0.75:
            radius = -rng.uniform(1.1, 1.7) * max(a, b)
        distance = rim * (1 - depth) + radius
        circles += [distance * math.cos(azimuth), distance * math.sin(azimuth), radius]
    return circles


def draw_keratocyte(rng: np.random.Generator) -> Draft:
    """Flat plate with a bite out of the rim; the two corners of the bite are its horns."""
    a, b = rng.uniform(3.3, 4.9), rng.uniform(2.7, 4.0)
    circles = draw_bites(rng, a, b)
    swelling = abs(bounded_normal(rng, 0.0, 0.35))
    radius, *thickness = disc_coefficients(swelling)
    thinning = rng.uniform(0.55, 0.85)
    coefficients = (radius, *(thinning * value for value in thickness))
    fold = (abs(bounded_normal(rng, 0.0, 0.15)), rng.uniform(-1.0, 2.0))
    plan = (1.0, a, b, rng.uniform(0.25, 0.8), *fold, len(circles) // 3)
    parameters = np.array([*coefficients, *plan, *circles])
    parameters[4] = max(_inset_maximum(parameters), 0.3)
    body = Body(
        surfaces.PLANFORM, parameters, 1.25 * max(a, b) + 1.0, waves=draw_waves(rng, rng.uniform(0.1, 0.6))
    )
    tries = _tries(rng, 14.0) if rng.uniform() < 0.8 else 1
    traits = {"semi_axis_a": a, "semi_axis_b": b, "bites": len(circles) // 3, "fold": fold[0]}
    return Draft((body,), bounded_normal(rng, 55.0, 18.0), tries, 0.3, traits)


def _lobe(
    centre: NDArray[np.float64], axes: NDArray[np.float64], rotation: NDArray[np.float64]
) -> list[float]:
    form = rotation @ np.diag(axes**-2.0) @ rotation.T
    entries = [form[0, 0], form[1, 1], form[2, 2], form[0, 1], form[0, 2], form[1, 2]]
    return [*centre, float(axes.prod() ** (1 / 3)), *entries]


def draw_multilobate(rng: np.random.Generator) -> Draft:
    """Rounded union of 3 to 6 ellipsoids: a large one with buds, or lobes of equal rank."""
    count = int(rng.integers(3, 7))
    budding = rng.uniform() < 0.7
    main = 2.8 * np.exp(0.09 * rng.standard_normal(3)) if budding else rng.uniform(1.5, 2.1, 3)
    lobes = _lobe(np.zeros(3), main, random_rotation(rng))
    pole = even_directions(rng, 1, 0.0)[0]
    directions = even_directions(rng, count - 1, 0.25)
    for direction in directions:
        if budding:  # buds crowd on one side of the cell
            towards = direction + 0.8 * pole
            size, distance = rng.uniform(0.7, 1.6), rng.uniform(0.85, 1.15) * main.mean()
        else:
            towards, size, distance = direction, rng.uniform(1.2, 2.1), rng.uniform(1.7, 2.6)
        towards = towards / np.linalg.norm(towards)
        axes = size * np.exp(0.2 * rng.standard_normal(3))
        lobes += _lobe(towards * distance, axes, random_rotation(rng))
    parameters = np.array([count, rng.uniform(0.25, 0.7), *lobes])
    body = Body(surfaces.LOBES, parameters, 6.0, waves=draw_waves(rng, rng.uniform(0.0, 0.3)))
    return Draft(
        (body,), bounded_normal(rng, 133.0, 26.0), 1, 0.38, {"lobes": count, "budding": float(budding)}
    )
