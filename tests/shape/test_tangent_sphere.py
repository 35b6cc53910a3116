"""The tangent sphere where its radius is known."""

from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.shape.mesh import Mesh, surface_mesh
from dispr_cli.shape.tangent_sphere import nearest_normals, tangent_sphere_radius
from tests.shape.solids import ball

MIDDLE = np.full(3, (40 - 1) / 2 + 0.13)


def wall(height: float, half_width: float = 50.0) -> Mesh:
    corners = [[height, y, x] for y in (-half_width, half_width) for x in (-half_width, half_width)]
    return Mesh(np.array(corners), np.array([[0, 1, 2], [1, 3, 2]], np.int32))


def test_from_the_middle_of_a_ball_it_reaches_halfway_round() -> None:
    mesh = surface_mesh(ball(15))
    assert tangent_sphere_radius(mesh, MIDDLE) == pytest.approx(7.5, rel=1e-2)


def test_from_one_wall_of_two_it_touches_both() -> None:
    near, far = wall(0.0), wall(8.0)
    both = Mesh(np.vstack([near.vertices, far.vertices]), np.vstack([near.faces, far.faces + 4]))
    assert tangent_sphere_radius(both, np.zeros(3), np.array([1.0, 0, 0])) == pytest.approx(4.0, rel=1e-9)


def test_a_wall_beside_the_way_shrinks_it() -> None:
    ahead, aside = wall(10.0), wall(0.0)
    # Turned by 90 degrees, the second wall stands at y = 3 beside the way along z.
    turned = aside.vertices[:, [1, 0, 2]] + [0.0, 3.0, 0.0]
    both = Mesh(np.vstack([ahead.vertices, turned]), np.vstack([ahead.faces, ahead.faces + 4]))
    along_z = np.array([1.0, 0.0, 0.0])
    assert tangent_sphere_radius(ahead, np.zeros(3), along_z) == pytest.approx(5.0, rel=1e-9)
    assert tangent_sphere_radius(both, np.zeros(3), along_z) == pytest.approx(3.0, rel=1e-4)


def test_without_a_surface_ahead_it_has_no_end() -> None:
    assert tangent_sphere_radius(wall(10.0), np.zeros(3), np.array([-1.0, 0.0, 0.0])) == np.inf


def test_a_ray_that_misses_takes_the_farthest_vertex() -> None:
    mesh = wall(10.0)
    aside = Mesh(mesh.vertices + np.array([0.0, 60.0, 0.0]), mesh.faces)
    # The sphere through 0 and the nearest corner (10, 10, ±50), then the nearest point of the wall (10, 10,
    # 0).
    assert tangent_sphere_radius(aside, np.zeros(3), np.array([1.0, 0.0, 0.0])) == pytest.approx(10.0)


def test_all_faces_at_a_corner_are_nearest() -> None:
    voxel = np.zeros((3, 3, 3), bool)
    voxel[1, 1, 1] = True
    normals = nearest_normals(surface_mesh(voxel), np.array([0.0, 1.0, 1.0]))
    assert normals.shape == (4, 3)
    np.testing.assert_allclose(normals[:, 0], -1 / np.sqrt(3))


def test_an_empty_mesh_or_no_point_gives_nan() -> None:
    assert np.isnan(tangent_sphere_radius(surface_mesh(np.zeros((3, 3, 3), bool)), np.zeros(3)))
    assert np.isnan(tangent_sphere_radius(wall(1.0), np.full(3, np.nan)))
