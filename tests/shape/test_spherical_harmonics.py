from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.shape.spherical_harmonics import sample_shells, sphere_grid


def test_harmonics_are_orthonormal() -> None:
    grid = sphere_grid(6, 12, 24)
    products = (grid.harmonics * grid.weights[:, None]).T @ grid.harmonics
    np.testing.assert_allclose(products, np.eye(49), atol=1e-12)
    assert grid.weights.sum() == pytest.approx(4 * np.pi)


def test_harmonics_are_those_of_scipy() -> None:
    special = pytest.importorskip("scipy.special")
    if not hasattr(special, "sph_harm_y"):
        pytest.skip("this SciPy has no sph_harm_y")
    grid = sphere_grid(5, 8, 16)
    z, y, x = grid.directions.T
    theirs = special.sph_harm_y(4, 3, np.arccos(z), np.arctan2(y, x))
    ours = grid.harmonics[:, 4**2 + 4 + 3]
    np.testing.assert_allclose(np.abs(ours), np.abs(np.sqrt(2) * theirs.real), atol=1e-12)


def test_power_is_unchanged_by_rotation_and_finds_the_degree() -> None:
    from scipy.spatial.transform import Rotation

    grid = sphere_grid(6, 14, 28)
    turned = grid.directions @ Rotation.random(random_state=1).as_matrix()
    for degree, function in ((1, lambda p: p[:, 0]), (2, lambda p: p[:, 0] * p[:, 1] + p[:, 2] ** 2 - 1 / 3)):
        power, moved = grid.power(function(grid.directions)), grid.power(function(turned))
        np.testing.assert_allclose(moved, power, atol=1e-12)
        assert power.argmax() == degree
        assert np.delete(power, degree).max() < 1e-20


def test_shells_interpolate_and_are_empty_beyond_the_grid() -> None:
    z, y, x = np.meshgrid(*(np.arange(9.0),) * 3, indexing="ij")
    volume = (0.02 * z + 0.03 * y + 0.05 * x).astype(np.float32)
    directions = sphere_grid(2, 4, 8).directions
    centre = np.array([4.0, 4.2, 3.9])
    samples = sample_shells(volume, centre, np.array([0.0, 3.0, 50.0]), directions)
    places = centre + 3.0 * directions
    np.testing.assert_allclose(samples[1], places @ [0.02, 0.03, 0.05], rtol=1e-5)
    np.testing.assert_allclose(samples[0], centre @ [0.02, 0.03, 0.05], rtol=1e-5)
    assert not samples[2].any()
