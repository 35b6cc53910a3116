"""Eight of the nine shapes of red blood cells, each drawn with its natural variation.

Lengths are micrometres, volumes femtolitres (um³); a class's volume is drawn apart from its shape and set
by scaling. The ninth, clusters, stands in :mod:`clusters`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dispr_cli.inputs.phantoms import surfaces
from dispr_cli.inputs.phantoms.bodies import (
    Body,
    Draft,
    bounded_normal,
    disc,
    disc_coefficients,
    draw_tries,
    draw_waves,
    ellipsoid,
    even_directions,
    random_rotation,
)


def draw_spherocyte(rng: np.random.Generator) -> Draft:
    """Sphere, hardly deformed."""
    axes = np.exp(0.07 * rng.standard_normal(3))
    volume = bounded_normal(rng, 112.0, 20.0)
    body = ellipsoid(tuple(3.0 * axes), draw_waves(rng, rng.uniform(0.0, 0.06)))
    return Draft((body,), volume, 1, 0.6, 0.25, {"longest_to_shortest": float(axes.max() / axes.min())})


def draw_discocyte(rng: np.random.Generator) -> Draft:
    """Evans & Fung's biconcave disc, more or less swollen, oval and warped."""
    swelling = abs(bounded_normal(rng, 0.0, 0.35))
    aspect = 1.0 + abs(bounded_normal(rng, 0.0, 0.12))
    curvature = abs(bounded_normal(rng, 0.0, 0.012))
    body = disc(disc_coefficients(swelling), curvature, aspect, draw_waves(rng, rng.uniform(0.0, 0.12)))
    traits = {"swelling": swelling, "aspect": aspect, "curvature_per_um": curvature}
    return Draft((body,), bounded_normal(rng, 94.0, 14.0), draw_tries(rng, 2.5), 0.7, 0.22, traits)


def draw_stomatocyte(rng: np.random.Generator) -> Draft:
    """Bowl: a disc bent into a cap, or a rounder cell with one deep dimple (I to II)."""
    if rng.uniform() < 0.65:
        body, traits = _bent_disc(rng)
    else:
        body, traits = _dimpled(rng)
    return Draft((body,), bounded_normal(rng, 97.0, 13.0), draw_tries(rng, 2.0), 1.5, 0.22, traits)


def _bent_disc(rng: np.random.Generator) -> tuple[Body, dict[str, float]]:
    opening = rng.uniform(0.6, 2.1)
    # A cap of half the membrane's area, 2 pi Rc² (1 - cos opening), with Rc the radius of its sphere.
    sphere = math.sqrt(64.0 / (2 * math.pi * (1 - math.cos(opening))))
    _, *thickness = disc_coefficients(rng.uniform(0.3, 0.9))
    thinning = rng.uniform(0.65, 1.0)
    c0, c1, c2 = (thinning * value for value in thickness)
    aspect = 1.0 + abs(bounded_normal(rng, 0.0, 0.08))
    body = disc((sphere * opening, c0, c1, c2), 1 / sphere, aspect, draw_waves(rng, rng.uniform(0.0, 0.2)))
    return body, {"cap_angle_rad": opening, "aspect": aspect}


def _dimpled(rng: np.random.Generator) -> tuple[Body, dict[str, float]]:
    depth, width, swelling = rng.uniform(0.5, 0.9), rng.uniform(1.5, 4.0), rng.uniform(0.6, 1.4)
    towards = np.array([[*rng.normal(0.0, 0.12, 2), 1.0]])
    towards /= np.linalg.norm(towards)
    body = _spiked(rng, towards, np.array([-depth]), np.array([width]), swelling, rng.uniform(0.0, 0.2))
    return body, {"dimple_depth": depth, "dimple_sharpness": width, "swelling": swelling}


def _spiked(
    rng: np.random.Generator, directions: NDArray[np.float64], heights: NDArray[np.float64],
    sharpness: NDArray[np.float64], swelling: float, warp: float,
) -> Body:  # fmt: skip
    table_directions = surfaces.table_directions()
    base = np.array([*disc_coefficients(swelling), 0.0, 1.0])
    radii = surfaces.disc_radii(table_directions, base)
    # exp(kappa (n . n_i - 1)): spikes of angular width 1 / sqrt(kappa) on the base.
    spikes = np.exp(sharpness * (table_directions @ directions.T - 1.0)) @ heights
    table = (radii * np.maximum(1.0 + spikes, 0.1)).astype(np.float32)
    waves = draw_waves(rng, warp)
    return Body(surfaces.RADIAL, np.zeros(1), 1.15 * float(table.max()) + 0.5, table, waves)


def draw_echinocyte(rng: np.random.Generator) -> Draft:
    """Disc to sphere with 10 to 30 even spikes, crenated disc (I) to spiny sphere (III)."""
    count = int(rng.integers(10, 31))
    stage = rng.uniform(0.0, 1.0) ** 0.45
    swelling = 0.2 + 1.7 * stage * rng.uniform(0.75, 1.0)
    height = (0.3 + 0.5 * stage) * rng.uniform(0.75, 1.25)
    heights = height * rng.uniform(0.75, 1.25, count)
    sharpness = rng.uniform(1.3, 2.5) * count * np.ones(count)
    directions = even_directions(rng, count, 0.06)
    body = _spiked(rng, directions, heights, sharpness, swelling, rng.uniform(0.0, 0.2))
    traits = {"spikes": count, "spike_height": height, "swelling": swelling}
    return Draft((body,), bounded_normal(rng, 94.0, 14.0), draw_tries(rng, 1.5), 1.5, 0.22, traits)


def draw_acanthocyte(rng: np.random.Generator) -> Draft:
    """Disc to sphere with 3 to 20 spikes of uneven place, height and width."""
    count = int(rng.integers(3, 21))
    swelling = rng.uniform(0.4, 1.9)
    heights = np.clip(rng.gamma(3.0, 0.23, count), 0.08, 1.2)
    directions = even_directions(rng, count, 0.5)
    body = _spiked(rng, directions, heights, rng.uniform(8.0, 35.0, count), swelling, rng.uniform(0.0, 0.35))
    traits = {"spikes": count, "spike_height": float(heights.mean()), "swelling": swelling}
    return Draft((body,), bounded_normal(rng, 94.0, 14.0), draw_tries(rng, 1.5), 1.5, 0.22, traits)


def draw_knizocyte(rng: np.random.Generator) -> Draft:
    """Three fins around an axis: the section R(1 + a cos 3 phi), with sharper and uneven lobes."""
    x, y, z = np.moveaxis(surfaces.table_directions(), -1, 0)
    # From Y to T: two of the fins open towards a bar, the third becomes the stem.
    opening = rng.uniform(-0.1, 0.45)
    azimuths = 2 * np.pi / 3 * np.arange(3) + opening * np.array([0.0, -1.0, 1.0])
    lengths = rng.uniform(0.92, 1.06, 3) * np.array([1.0 - 0.3 * opening, 1.0, 1.0])
    sharpness = rng.uniform(5.0, 9.0)
    around = np.arctan2(y, x)[..., None]
    fins = np.exp(sharpness * (np.cos(around - azimuths) - 1.0)) @ lengths
    waist = rng.uniform(0.13, 0.25)
    across = np.hypot(x, y)
    # Seen along the fins the cell is a disc: every section through the axis is a half ellipse.
    axis_length = rng.uniform(0.75, 0.95)
    section = waist + (1.0 - waist) * fins
    radii = 3.9 / np.sqrt((across / section) ** 2 + (z / axis_length) ** 2)
    body = Body(
        surfaces.RADIAL, np.zeros(1), 1.15 * float(radii.max()) + 0.5, radii.astype(np.float32),
        draw_waves(rng, rng.uniform(0.05, 0.45)),
    )  # fmt: skip
    traits = {"waist": waist, "sharpness": sharpness, "axis_length": axis_length}
    return Draft((body,), bounded_normal(rng, 90.0, 11.0), draw_tries(rng, 1.5), 2.0, 0.12, traits)


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
        style, depth = rng.uniform(), rng.uniform(0.1, 0.55)
        radius = rng.uniform(0.8, 2.2) if style < 0.5 else rng.uniform(3.5, 12.0)
        if style > 0.75:
            radius = -rng.uniform(1.1, 1.7) * max(a, b)
        distance = rim * (1 - depth) + radius
        circles += [distance * math.cos(azimuth), distance * math.sin(azimuth), radius]
    return circles


def draw_keratocyte(rng: np.random.Generator) -> Draft:
    """Flat plate with a bite out of the rim; the two corners of the bite are its horns."""
    a, b = rng.uniform(3.6, 5.2), rng.uniform(2.6, 3.9)
    circles = draw_bites(rng, a, b)
    swelling = abs(bounded_normal(rng, 0.0, 0.35))
    radius, *thickness = disc_coefficients(swelling)
    thinning = rng.uniform(0.65, 0.95)
    coefficients = (radius, *(thinning * value for value in thickness))
    rise, begin = abs(bounded_normal(rng, 0.0, 1.3)), rng.uniform(-1.0, 2.0)
    fold = (rise / (max(a, b) - begin) ** 2, begin)
    plan = (1.0, a, b, rng.uniform(0.25, 0.8), *fold, len(circles) // 3)
    parameters = np.array([*coefficients, *plan, *circles])
    parameters[4] = max(_inset_maximum(parameters), 0.3)
    body = Body(
        surfaces.PLANFORM,
        parameters,
        1.2 * max(a, b) + rise + 0.5,
        waves=draw_waves(rng, rng.uniform(0.1, 0.6)),
    )
    tries = draw_tries(rng, 20.0) if rng.uniform() < 0.8 else 1
    traits = {"semi_axis_a": a, "semi_axis_b": b, "bites": len(circles) // 3, "fold_rise_um": rise}
    return Draft((body,), bounded_normal(rng, 68.0, 20.0), tries, 2.0, 0.3, traits)


def _lobe(
    centre: NDArray[np.float64], axes: NDArray[np.float64], rotation: NDArray[np.float64]
) -> list[float]:
    form = rotation @ np.diag(axes**-2.0) @ rotation.T
    entries = [form[0, 0], form[1, 1], form[2, 2], form[0, 1], form[0, 2], form[1, 2]]
    return [*centre, float(axes.prod() ** (1 / 3)), *entries]


def draw_multilobate(rng: np.random.Generator) -> Draft:
    """Unite 3 to 6 ellipsoids, rounded: a large one with buds, or lobes of equal rank."""
    count = int(rng.integers(3, 7))
    budding = rng.uniform() < 0.7
    main = 2.8 * np.exp(0.09 * rng.standard_normal(3)) if budding else rng.uniform(1.5, 2.1, 3)
    lobes = _lobe(np.zeros(3), main, random_rotation(rng))
    pole = even_directions(rng, 1, 0.0)[0]
    directions = even_directions(rng, count - 1, 0.25)
    for direction in directions:
        if budding:  # buds crowd on one side of the cell
            towards = direction + 0.8 * pole
            size, distance = rng.uniform(0.6, 1.5), rng.uniform(0.95, 1.3) * main.mean()
        else:
            towards, size, distance = direction, rng.uniform(1.2, 2.1), rng.uniform(1.7, 2.6)
        towards = towards / np.linalg.norm(towards)
        axes = size * np.exp(0.2 * rng.standard_normal(3))
        lobes += _lobe(towards * distance, axes, random_rotation(rng))
    parameters = np.array([count, rng.uniform(0.15, 0.45), *lobes])
    body = Body(surfaces.LOBES, parameters, 6.0, waves=draw_waves(rng, rng.uniform(0.0, 0.3)))
    return Draft(
        (body,), bounded_normal(rng, 137.0, 26.0), 1, 2.0, 0.38, {"lobes": count, "budding": float(budding)}
    )
