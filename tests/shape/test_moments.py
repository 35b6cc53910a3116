"""Moments against scikit-image and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import inertia_tensor_eigvals

from dispr_cli.shape.mesh import surface_mesh
from dispr_cli.shape.moments import centre_of_mass, convex_hull_volume, inertia_eigenvalues
from tests.shape.solids import ball, blob, spheroid


def test_equal_to_scikit_image() -> None:
    inside = blob(0) > 0.5
    np.testing.assert_allclose(inertia_eigenvalues(inside), inertia_tensor_eigvals(inside), rtol=1e-9)


def test_spheroid() -> None:
    # For half axes a, b: sums of two of the variances a²/5 (polar) and b²/5.
    eigenvalues = inertia_eigenvalues(spheroid(8, 14) > 0.5)
    np.testing.assert_allclose(eigenvalues, np.array([2 * 14**2, 8**2 + 14**2, 8**2 + 14**2]) / 5, rtol=1e-2)


def test_voxel_size_stretches() -> None:
    inside = np.zeros((4, 4, 4), bool)
    inside[0, 0, 0] = inside[2, 0, 2] = True
    np.testing.assert_allclose(centre_of_mass(inside, (0.5, 1.0, 2.0)), [0.5, 0, 2])
    np.testing.assert_allclose(inertia_eigenvalues(inside, (0.5, 1.0, 2.0))[:2], 0.5**2 + 2.0**2)


def test_convex_hull() -> None:
    mesh = surface_mesh(ball(12))
    assert convex_hull_volume(mesh) == pytest.approx(4 / 3 * np.pi * 12**3, rel=1e-2)


def test_nothing_has_no_place() -> None:
    empty = np.zeros((3, 3, 3), bool)
    assert np.isnan(centre_of_mass(empty)).all()
    assert np.isnan(inertia_eigenvalues(empty)).all()
    assert convex_hull_volume(surface_mesh(empty)) == 0.0
