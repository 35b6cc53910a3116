"""Where a cell comes to rest: settled on the glass, stretched along the optical axis, centred on the grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import GRID
from dispr_cli.inputs.phantoms import surfaces
from dispr_cli.inputs.phantoms.bodies import Body, Draft, random_rotation

VOXEL_SIZE_UM = 0.172
MARGIN = 3.0
"""Voxels kept free around a body for the blur of its border."""

AFLOAT = 0.2
"""Share of the cells that stay as they came."""

COARSE_SIDE = 40
REACH_UM = 8.2
"""Half the side of the cube in which a draft is first looked at."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a draft stands: index (x, y, z) = centre + scale / voxel * (1, 1, stretch) * (turn @ point).

    ``glass`` is the plane, an index of z, on which the cell lies flat.
    """

    turn: NDArray[np.float64]
    stretch: float
    scale: float
    centre: NDArray[np.float64]
    glass: float = np.inf


def levels(bodies: Sequence[Body], placement: Placement, side: int = GRID) -> NDArray[np.float32]:
    """Field of levels on the grid, in um before scaling; (z, y, x)."""
    field = np.full((side,) * 3, surfaces.OUTSIDE, np.float32)
    to_um = VOXEL_SIZE_UM / placement.scale / np.array([1.0, 1.0, placement.stretch])
    for body in bodies:
        matrix = (placement.turn @ body.rotation).T * to_um
        offset = -matrix @ placement.centre - body.rotation.T @ body.centre
        surfaces.add_body(
            field, matrix, offset, body.waves, body.reach, body.kind, body.parameters, body.table
        )
    return field


def inside_points(bodies: Sequence[Body]) -> tuple[NDArray[np.float64], float]:
    """Points (n, 3) on a coarse lattice inside a union of bodies, and its volume; um and um³."""
    step = 2.0 * REACH_UM / (COARSE_SIDE - 1)
    coarse = Placement(np.eye(3), 1.0, VOXEL_SIZE_UM / step, np.full(3, 0.5 * (COARSE_SIDE - 1)))
    z, y, x = np.nonzero(levels(bodies, coarse, COARSE_SIDE) > 0)
    points = (np.stack([x, y, z], axis=1) - coarse.centre) * step
    return points, float(len(points) * step**3)


def rest(points: NDArray[np.float64], tries: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Rotation in which a cell comes to rest: of some random ones, that with the lowest centre of mass.

    The glass is on the side of large z, where the real cells have their mass. With one try every
    orientation is as likely; with more, flat and stable ones come oftener. Some cells never settle.
    """
    tries = 1 if rng.uniform() < AFLOAT else tries
    turns = [random_rotation(rng) for _ in range(tries)]
    heights = [points @ turn[2] for turn in turns]
    return turns[int(np.argmin([height.max() - height.mean() for height in heights]))]


def place(draft: Draft, stretch: float, rng: np.random.Generator) -> Placement | None:
    """Scale a draft to its volume, let it settle and centre it; None where it does not fit the grid."""
    points, volume = inside_points(draft.bodies)
    if len(points) < 50:
        return None
    turn = rest(points, draft.tries, rng)
    scale = (draft.volume_um3 / volume) ** (1 / 3)
    indices = scale / VOXEL_SIZE_UM * np.array([1.0, 1.0, stretch]) * (points @ turn.T)
    low, high = indices.min(axis=0), indices.max(axis=0)
    if (high - low > GRID - 2 * MARGIN).any():
        return None
    centre = 0.5 * (GRID - 1) - 0.5 * (low + high)
    return Placement(
        turn, stretch, scale, centre, float(high[2] + centre[2]) - rng.uniform(0.0, draft.pressed)
    )


def body_occupancy(bodies: Sequence[Body], placement: Placement) -> NDArray[np.float32]:
    """Share of every voxel that lies in a body and above the glass, (z, y, x) in [0, 1]."""
    field = levels(bodies, placement)
    occupancy = np.clip(0.5 + field * np.float32(placement.scale / VOXEL_SIZE_UM), 0.0, 1.0)
    above = np.clip(placement.glass + 0.5 - np.arange(GRID, dtype=np.float32), 0.0, 1.0)
    return occupancy * above[:, None, None]
