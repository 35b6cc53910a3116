from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.inputs.phantoms import surfaces
from dispr_cli.inputs.phantoms.bodies import Body, disc, disc_coefficients, draw_waves, ellipsoid
from dispr_cli.inputs.phantoms.clusters import draw_cell_cluster
from dispr_cli.inputs.phantoms.placement import VOXEL_SIZE_UM, Placement, body_occupancy, levels
from dispr_cli.inputs.phantoms.shapes import (
    draw_acanthocyte,
    draw_keratocyte,
    draw_knizocyte,
    draw_multilobate,
)

UPRIGHT = Placement(np.eye(3), 1.0, 1.0, np.full(3, 31.5))


def volume_um3(body: Body) -> float:
    return float(body_occupancy([body], UPRIGHT).sum()) * VOXEL_SIZE_UM**3


def level(body: Body, x: float, y: float, z: float) -> float:
    return surfaces.level_at(body.kind, body.parameters, body.table, x, y, z)


def test_sphere_has_the_volume_of_a_sphere():
    assert volume_um3(ellipsoid((3.39, 3.39, 3.39))) == pytest.approx(4 / 3 * np.pi * 3.39**3, rel=0.003)


def test_ellipsoid_has_its_volume_and_axes():
    body = ellipsoid((4.0, 3.0, 2.0))
    assert volume_um3(body) == pytest.approx(4 / 3 * np.pi * 24, rel=0.005)
    for point in ((4, 0, 0), (0, 3, 0), (0, 0, 2)):
        assert level(body, *point) == pytest.approx(0, abs=1e-9)


def test_discocyte_is_the_one_of_evans_and_fung():
    body = disc(disc_coefficients(0.0))
    assert volume_um3(body) == pytest.approx(94.0, rel=0.01)
    outline = (body_occupancy([body], UPRIGHT) > 0.5).any(axis=0)
    assert outline.sum(axis=1).max() * VOXEL_SIZE_UM == pytest.approx(7.82, abs=VOXEL_SIZE_UM)
    radii = np.linspace(0, 3.9, 200)
    thickness = [2 * level(body, r, 0.0, 0.0) for r in radii]
    assert thickness[0] == pytest.approx(0.81, abs=0.005)
    assert max(thickness) == pytest.approx(2.58, abs=0.02)


def test_swelling_goes_from_disc_to_sphere():
    spheres = disc(disc_coefficients(2.0))
    assert volume_um3(spheres) == pytest.approx(164.0, rel=0.01)
    for point in ((3.39, 0, 0), (0, 0, 3.39), (2.0, 1.5, np.sqrt(3.39**2 - 6.25))):
        assert level(spheres, *point) == pytest.approx(0, abs=0.01)
    volumes = [volume_um3(disc(disc_coefficients(swelling))) for swelling in (0.0, 0.5, 1.0, 1.5, 2.0)]
    assert volumes == sorted(volumes)


def test_bending_turns_the_rim_up_and_keeps_the_middle():
    flat, bent = disc(disc_coefficients(0.5)), disc(disc_coefficients(0.5), curvature=0.3)
    assert level(bent, 0, 0, 0) == pytest.approx(level(flat, 0, 0, 0))
    occupied = body_occupancy([bent], UPRIGHT) > 0.5
    heights = np.arange(64)[:, None, None] * np.ones_like(occupied)
    middle = np.hypot(*(np.indices((64, 64)) - 31.5)) < 5
    assert heights[occupied & ~middle].mean() > heights[occupied & middle].mean() + 2


def test_waves_move_the_surface_but_hardly_the_volume():
    plain = disc(disc_coefficients(0.5))
    waved = disc(disc_coefficients(0.5), waves=draw_waves(np.random.default_rng(3), 0.4))
    a, b = (body_occupancy([body], UPRIGHT) > 0.5 for body in (plain, waved))
    assert 0.5 < (a & b).sum() / (a | b).sum() < 0.98
    assert volume_um3(waved) == pytest.approx(volume_um3(plain), rel=0.25)


def test_table_of_radii_gives_back_the_disc():
    directions = surfaces.table_directions()
    coefficients = np.array([*disc_coefficients(0.3), 0.0, 1.0])
    table = surfaces.disc_radii(directions, coefficients).astype(np.float32)
    body = Body(surfaces.RADIAL, np.zeros(1), 5.0, table)
    assert volume_um3(body) == pytest.approx(volume_um3(disc(disc_coefficients(0.3))), rel=0.01)
    for index in ((0, 0), (20, 71), (48, 48), (95, 3)):
        point = directions[index] * table[index]
        assert level(body, *point) == pytest.approx(0, abs=1e-4)


def test_directions_of_the_table_are_units_over_both_hemispheres():
    directions = surfaces.table_directions()
    assert np.allclose(np.linalg.norm(directions, axis=-1), 1)
    assert abs(directions.mean(axis=(0, 1))).max() < 0.02


@pytest.mark.parametrize(
    "draw", [draw_keratocyte, draw_knizocyte, draw_multilobate, draw_acanthocyte, draw_cell_cluster]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_skipping_far_blocks_changes_no_shape(draw, seed):
    bodies = draw(np.random.default_rng(seed)).bodies
    quick = levels(bodies, UPRIGHT)
    placement = Placement(np.eye(3), 1.0, 1.0, np.full(3, 31.5))
    slow = np.full_like(quick, surfaces.OUTSIDE)
    for body in bodies:
        matrix = body.rotation.T * VOXEL_SIZE_UM
        offset = -matrix @ placement.centre - body.rotation.T @ body.centre
        for k0 in range(0, 64, surfaces.BLOCK):
            for j0 in range(0, 64, surfaces.BLOCK):
                for i0 in range(0, 64, surfaces.BLOCK):
                    surfaces.fill_block(
                        slow, k0, j0, i0, matrix, offset, body.waves, body.kind, body.parameters, body.table
                    )
    assert ((quick > -VOXEL_SIZE_UM) == (slow > -VOXEL_SIZE_UM)).all()
    near = abs(slow) < VOXEL_SIZE_UM
    assert near.sum() > 1000
    assert np.array_equal(quick[near], slow[near])
