"""Roughness against the definitions in SciPy, and on surfaces known to be smoother or rougher."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, gaussian_filter
from scipy.sparse import csr_array

from dispr_cli.errors import CellError
from dispr_cli.shape.mesh import Mesh, surface_mesh
from dispr_cli.shape.roughness import (
    boundary_voxels,
    gaussian_roughness,
    humphrey_roughness,
    humphrey_smoothed,
)
from tests.shape.solids import ball, blob, occupancy, places


def humphrey_written_out(mesh: Mesh, alpha: float, beta: float, iterations: int) -> np.ndarray:
    tails, heads = mesh.faces.ravel(), np.roll(mesh.faces, -1, axis=1).ravel()
    counts = np.bincount(tails, minlength=len(mesh.vertices))
    mean = csr_array((1 / counts[tails], (tails, heads)), shape=(len(counts), len(counts)))
    current = mesh.vertices
    for _ in range(iterations):
        averaged = mean @ current
        push = averaged - (alpha * mesh.vertices + (1 - alpha) * current)
        current = averaged - (beta * push + (1 - beta) * (mean @ push))
    return current


@pytest.mark.parametrize(("alpha", "beta", "iterations"), [(0.1, 0.5, 10), (0.0, 0.3, 3), (0.4, 1.0, 1)])
def test_humphrey_is_its_recurrence(alpha: float, beta: float, iterations: int) -> None:
    mesh = surface_mesh(blob(0), (1.4, 1.0, 0.8))
    expected = humphrey_written_out(mesh, alpha, beta, iterations)
    np.testing.assert_allclose(humphrey_smoothed(mesh, alpha, beta, iterations), expected, atol=1e-12)


def test_bumps_are_rough() -> None:
    z, y, x = places((40, 40, 40))
    bumps = 0.8 * np.sin(1.5 * z) * np.sin(1.5 * y) * np.sin(1.5 * x)
    bumpy = occupancy(np.sqrt(z**2 + y**2 + x**2) - 12 + bumps)
    assert humphrey_roughness(surface_mesh(bumpy)) > 1.1 * humphrey_roughness(surface_mesh(ball(12)))
    assert gaussian_roughness(bumpy) > 1.1 * gaussian_roughness(ball(12))


def test_roughness_follows_the_unit() -> None:
    volume = blob(1)
    in_voxels = humphrey_roughness(surface_mesh(volume))
    assert humphrey_roughness(surface_mesh(volume, (0.2, 0.2, 0.2))) == pytest.approx(
        0.2 * in_voxels, rel=1e-9
    )


@pytest.mark.parametrize("seed", range(4))
def test_gaussian_roughness_is_scipys_filter(seed: int) -> None:
    inside = blob(seed, 18) > 0.5
    inside[:, :, 12:] = False
    changed = (gaussian_filter(inside.astype(float), 2, mode="nearest") > 0.5) != inside
    assert changed.any()
    assert gaussian_roughness(inside) == changed.sum()


@pytest.mark.parametrize("seed", range(2))
def test_boundary_voxels_are_what_erosion_takes(seed: int) -> None:
    inside = blob(seed) > 0.5
    kept = binary_erosion(inside, np.ones((3, 3, 3)), border_value=1)
    assert boundary_voxels(inside) == inside.sum() - kept.sum()


def test_nothing_is_not_rough() -> None:
    empty = np.zeros((4, 4, 4), bool)
    assert humphrey_roughness(surface_mesh(empty)) == gaussian_roughness(empty) == boundary_voxels(empty) == 0


def test_a_single_voxel_is_blurred_away() -> None:
    voxel = np.zeros((5, 5, 5), bool)
    voxel[2, 2, 2] = True
    assert gaussian_roughness(voxel) == boundary_voxels(voxel) == 1


def test_nan_is_refused() -> None:
    with pytest.raises(CellError, match="NaN"):
        gaussian_roughness(np.full((3, 3, 3), np.nan))
