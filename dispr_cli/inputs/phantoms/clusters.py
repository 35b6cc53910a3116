"""Cells that touch: two or three single cells brought together until they meet."""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np
from numpy.typing import NDArray

from dispr_cli.inputs.phantoms import surfaces
from dispr_cli.inputs.phantoms.bodies import (
    Body,
    Draft,
    bounded_normal,
    draw_tries,
    even_directions,
    random_rotation,
)
from dispr_cli.inputs.phantoms.shapes import draw_discocyte, draw_stomatocyte

GRAIN_UM = 0.45
"""Distance of the points that stand for a body while it is brought into touch."""


@numba.njit(cache=True)
def _share_inside(
    points: NDArray[np.float64], kind: int, parameters: NDArray[np.float64], table: NDArray[np.float32]
) -> float:
    inside = 0
    for n in range(points.shape[0]):
        if surfaces.level_at(kind, parameters, table, points[n, 0], points[n, 1], points[n, 2]) > 0.0:
            inside += 1
    return inside / points.shape[0]


def _points_inside(body: Body) -> NDArray[np.float64]:
    line = np.arange(-body.reach, body.reach + GRAIN_UM, GRAIN_UM)
    field = np.full((line.size,) * 3, surfaces.OUTSIDE, np.float32)
    surfaces.add_body(
        field, GRAIN_UM * np.eye(3), np.full(3, -body.reach), body.waves, body.reach, body.kind,
        body.parameters, body.table,
    )  # fmt: skip
    z, y, x = np.nonzero(field > 0)
    return np.stack([line[x], line[y], line[z]], axis=1)


def _overlap(points: NDArray[np.float64], body: Body) -> float:
    own = (points - body.centre) @ body.rotation
    return float(_share_inside(own, body.kind, body.parameters, body.table))


def bring_together(fixed: list[Body], moving: Body, direction: NDArray[np.float64], overlap: float) -> Body:
    """Move a body in from afar along ``-direction`` until it overlaps the others by a share of itself."""
    points = _points_inside(moving) @ moving.rotation.T
    start = fixed[0].centre
    for distance in np.arange(9.0, 0.0, -0.3):
        centre = start + distance * direction
        if sum(_overlap(points + centre, body) for body in fixed) > overlap:
            break
    return replace(moving, centre=centre)


def _turned_by(rotation: NDArray[np.float64], angle: float, rng: np.random.Generator) -> NDArray[np.float64]:
    axis = rng.standard_normal(3)
    axis /= np.linalg.norm(axis)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross) @ rotation


def draw_cell_cluster(rng: np.random.Generator) -> Draft:
    """Two or three touching discs or bowls, mostly stacked face to face, some crosswise."""
    count = int(rng.choice([2, 3], p=[0.86, 0.14]))
    volume, bodies = 0.0, []
    for k in range(count):
        single = (draw_discocyte if rng.uniform() < 0.65 else draw_stomatocyte)(rng)
        body = single.bodies[0]
        if k == 0:
            bodies.append(body)
        else:
            tilt = abs(bounded_normal(rng, 0.0, 0.6))
            rotation = (
                _turned_by(bodies[0].rotation, tilt, rng) if rng.uniform() < 0.45 else random_rotation(rng)
            )
            sideways = even_directions(rng, 1, 0.0)[0]
            direction = np.array([0.0, 0.0, rng.choice([-1.0, 1.0])]) + rng.uniform(0.1, 2.3) * sideways
            direction /= np.linalg.norm(direction)
            moved = replace(body, rotation=rotation)
            bodies.append(bring_together(bodies, moved, direction, rng.uniform(0.0, 0.01)))
        volume += 0.87 * single.volume_um3
    return Draft(tuple(bodies), volume, draw_tries(rng, 4.0), 2.0, 0.2, {"cells": count})
