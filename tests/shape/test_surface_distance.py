"""Surface distances against brute force and where they are known."""

from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.shape.mesh import Mesh, surface_mesh
from dispr_cli.shape.surface_distance import (
    distances_to_surface,
    spread_points,
    surface_distances,
    weighted_percentile,
)
from tests.shape.solids import ball, blob


def brute_force(points: np.ndarray, mesh: Mesh) -> np.ndarray:
    """Minimise over the three sides and the inside of every triangle."""
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    best = np.full(len(points), np.inf)
    for number, point in enumerate(points):
        for start, end in ((a, b), (b, c), (c, a)):
            along = end - start
            share = np.einsum("ij,ij->i", point - start, along) / np.einsum("ij,ij->i", along, along)
            foot = start + np.clip(share, 0, 1)[:, None] * along
            best[number] = min(best[number], np.linalg.norm(point - foot, axis=1).min())
        normal = np.cross(b - a, c - a)
        normal /= np.linalg.norm(normal, axis=1)[:, None]
        height = np.einsum("ij,ij->i", point - a, normal)
        foot = point - height[:, None] * normal
        sides = [
            np.einsum("ij,ij->i", np.cross(q - p, foot - p), normal) for p, q in ((a, b), (b, c), (c, a))
        ]
        over = (np.array(sides) >= 0).all(axis=0)
        best[number] = min(best[number], np.abs(height[over]).min(initial=np.inf))
    return best


@pytest.mark.parametrize("voxel_size", [(1.0, 1.0, 1.0), (2.0, 0.7, 1.1)])
def test_equal_to_brute_force(voxel_size: tuple[float, float, float]) -> None:
    mesh, other = surface_mesh(blob(0), voxel_size), surface_mesh(blob(1), voxel_size)
    far_away = np.array([[40.0, -20, 3], [-5, -5, -5]])
    points = np.vstack([other.vertices[::9], mesh.vertices[::50], far_away])
    np.testing.assert_allclose(distances_to_surface(points, mesh), brute_force(points, mesh), atol=1e-12)


def test_balls_in_balls() -> None:
    inner, outer = surface_mesh(ball(10)), surface_mesh(ball(14))
    average, nearly_all = surface_distances(inner, outer)
    assert average == pytest.approx(4, rel=1e-2)
    assert nearly_all == pytest.approx(4, rel=2e-2)


def test_the_percentile_sees_what_the_average_hides() -> None:
    plain = ball(10)
    with_part_apart = plain.copy()
    with_part_apart[:, :8, :8] = np.maximum(with_part_apart[:, :8, :8], ball(4, 40)[:, 16:24, 16:24])
    average, nearly_all = surface_distances(surface_mesh(with_part_apart), surface_mesh(plain))
    assert average < 3
    assert nearly_all > 3 * average


def test_symmetric_and_zero_for_itself() -> None:
    a, b = surface_mesh(blob(2)), surface_mesh(blob(3))
    assert surface_distances(a, b) == pytest.approx(surface_distances(b, a), rel=1e-12)
    assert surface_distances(a, a) == pytest.approx((0, 0), abs=1e-12)


def test_few_points_stand_for_all() -> None:
    mesh, other = surface_mesh(ball(11)), surface_mesh(blob(2, 40))
    points, areas = spread_points(mesh, 500)
    assert 400 < len(points) <= 500
    assert areas.sum() == pytest.approx(mesh.face_areas.sum(), rel=1e-12)
    assert (np.abs(areas / areas.mean() - 1) < 0.6).mean() > 0.9
    assert surface_distances(mesh, other, 800) == pytest.approx(
        surface_distances(mesh, other, None), rel=5e-2
    )
    assert len(spread_points(mesh)[0]) == len(mesh.vertices)


def test_no_surface_no_distance() -> None:
    empty, mesh = surface_mesh(np.zeros((3, 3, 3), bool)), surface_mesh(ball(4, 12))
    assert np.isnan(surface_distances(empty, mesh)).all()
    assert np.isnan(surface_distances(mesh, empty)).all()


def test_weights_move_the_percentile() -> None:
    values = np.array([3.0, 1.0, 2.0])
    assert weighted_percentile(values, np.ones(3), 95) == 3
    assert weighted_percentile(values, np.array([0.01, 5.0, 5.0]), 95) == 2
    assert weighted_percentile(values, np.ones(3), 30) == 1
