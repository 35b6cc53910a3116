from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.inputs.phantoms import placement
from dispr_cli.inputs.phantoms.bodies import Draft, disc, disc_coefficients, ellipsoid, random_rotation
from dispr_cli.inputs.phantoms.placement import VOXEL_SIZE_UM, Placement


def tilt_of(turn: np.ndarray) -> float:
    return abs(turn[2, 2])


def test_flat_bodies_come_to_lie_flat_more_often_than_by_chance():
    points, _ = placement.inside_points([disc(disc_coefficients(0.0))])
    rng = np.random.default_rng(0)
    chance = [tilt_of(random_rotation(rng)) for _ in range(300)]
    settled = [tilt_of(placement.rest(points, 4, rng)) for _ in range(300)]
    assert np.mean(chance) == pytest.approx(0.5, abs=0.05)
    assert np.mean(settled) > 0.62


def test_cells_come_to_lie_with_their_mass_near_the_glass():
    rng = np.random.default_rng(0)
    cone = np.array(
        [
            (x, y, z)
            for z in range(9)
            for x in range(-8, 9)
            for y in range(-8, 9)
            if x * x + y * y <= (8 - z) ** 2
        ]
    )
    assert _share_near_the_glass(cone.astype(float), 1, rng) == pytest.approx(0.5, abs=0.1)
    assert _share_near_the_glass(cone.astype(float), 6, rng) > 0.65


def _share_near_the_glass(points: np.ndarray, tries: int, rng: np.random.Generator) -> float:
    heights = [points @ placement.rest(points, tries, rng)[2] for _ in range(400)]
    return float(np.mean([h.max() - h.mean() < h.mean() - h.min() for h in heights]))


def test_coarse_points_know_the_volume():
    points, volume = placement.inside_points([ellipsoid((4.0, 3.0, 3.5))])
    assert volume == pytest.approx(4 / 3 * np.pi * 42, rel=0.05)
    assert abs(points.mean(axis=0)).max() < 0.1


@pytest.mark.parametrize("stretch", [1.0, 1.3])
def test_placed_body_has_the_volume_asked_for_and_stands_in_the_middle(stretch):
    draft = Draft((disc(disc_coefficients(0.2)),), 90.0, 1, 0.0, 0.2, {})
    placed = placement.place(draft, stretch, np.random.default_rng(1))
    assert placed is not None
    occupancy = placement.body_occupancy(
        draft.bodies, Placement(placed.turn, stretch, placed.scale, placed.centre)
    )
    assert occupancy.sum() * VOXEL_SIZE_UM**3 / stretch == pytest.approx(90.0, rel=0.04)
    for axis in range(3):
        hit = np.flatnonzero((occupancy > 0.5).any(axis=tuple(a for a in range(3) if a != axis)))
        assert (hit[0] + hit[-1]) / 2 == pytest.approx(31.5, abs=2)


def test_stretch_makes_a_sphere_taller():
    body = ellipsoid((3.5, 3.5, 3.5))
    occupancy = placement.body_occupancy([body], Placement(np.eye(3), 1.3, 1.0, np.full(3, 31.5)))
    height, width = occupancy[:, 31, 31].sum(), occupancy[31, 31].sum()
    assert height / width == pytest.approx(1.3, abs=0.03)


def test_nothing_reaches_below_the_glass():
    body = ellipsoid((3.0, 3.0, 3.0))
    occupancy = placement.body_occupancy(
        [body], Placement(np.eye(3), 1.0, 1.0, np.full(3, 31.5), glass=40.25)
    )
    assert occupancy[40, 31, 31] == pytest.approx(0.75)
    assert occupancy[42:].max() == 0.0


def test_too_large_a_body_finds_no_place():
    draft = Draft((disc(disc_coefficients(0.0)),), 900.0, 1, 0.0, 0.2, {})
    assert placement.place(draft, 1.2, np.random.default_rng(0)) is None
