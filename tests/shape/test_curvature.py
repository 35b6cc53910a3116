"""Curvature measures against closed forms and against the definitions written out in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.errors import ConfigError
from dispr_cli.shape.curvature import gaussian_curvature, mean_curvature
from dispr_cli.shape.mesh import Mesh, mesh_area, surface_mesh
from tests.shape.solids import ball, blob, cylinder, torus


def gaussian_written_out(mesh: Mesh, points: np.ndarray, radius: float) -> np.ndarray:
    corners = mesh.vertices[mesh.faces]
    defects = np.full(len(mesh.vertices), 2 * np.pi)
    for corner in range(3):
        u = corners[:, (corner + 1) % 3] - corners[:, corner]
        w = corners[:, (corner + 2) % 3] - corners[:, corner]
        cosine = np.einsum("ij,ij->i", u, w) / np.linalg.norm(u, axis=1) / np.linalg.norm(w, axis=1)
        np.subtract.at(defects, mesh.faces[:, corner], np.arccos(cosine))
    distances = np.linalg.norm(points[:, None] - mesh.vertices[None], axis=2)
    return (distances <= radius) @ defects


def mean_written_out(mesh: Mesh, points: np.ndarray, radius: float) -> np.ndarray:
    faces_of_edge: dict[tuple[int, int], list[int]] = {}
    for number, face in enumerate(mesh.faces.tolist()):
        for a, b in zip(face, [*face[1:], face[0]], strict=True):
            faces_of_edge.setdefault((min(a, b), max(a, b)), []).append(number)
    total = np.zeros(len(points))
    for (a, b), (first, second) in faces_of_edge.items():
        start, end = mesh.vertices[a], mesh.vertices[b]
        cosine = np.clip(mesh.face_normals[first] @ mesh.face_normals[second], -1, 1)
        (other,) = set(mesh.faces[second].tolist()) - {a, b}
        convex = (mesh.vertices[other] - start) @ mesh.face_normals[first] < 1e-8
        total += length_in_balls(start, end, points, radius) * np.arccos(cosine) * (1 if convex else -1) / 2
    return total


def length_in_balls(start: np.ndarray, end: np.ndarray, points: np.ndarray, radius: float) -> np.ndarray:
    along, offset = end - start, start - points
    b, c = offset @ along, np.einsum("ij,ij->i", offset, offset) - radius**2
    root = np.sqrt(np.maximum(b**2 - along @ along * c, 0))
    first, last = (-b - root) / (along @ along), (-b + root) / (along @ along)
    return (np.clip(last, 0, 1) - np.clip(first, 0, 1)) * np.linalg.norm(along)


@pytest.mark.parametrize("radius", [0.0, 0.3, 1.7, 4.0, 100.0])
def test_equal_to_the_definitions(radius: float) -> None:
    mesh = surface_mesh(blob(2, 9), (1.3, 1.0, 0.7))
    points = np.vstack([mesh.vertices[::7], [[-30.0, 4, 4], [4.0, 4, 4], [90.0, 90, 90]]])
    expected = gaussian_written_out(mesh, points, radius)
    np.testing.assert_allclose(gaussian_curvature(mesh, radius, points), expected, atol=1e-9)
    expected = mean_written_out(mesh, points, radius)
    np.testing.assert_allclose(mean_curvature(mesh, radius, points), expected, atol=1e-6)


def test_points_default_to_the_vertices() -> None:
    mesh = surface_mesh(blob(3))
    np.testing.assert_array_equal(gaussian_curvature(mesh, 2.0), gaussian_curvature(mesh, 2.0, mesh.vertices))
    np.testing.assert_array_equal(mean_curvature(mesh, 2.0), mean_curvature(mesh, 2.0, mesh.vertices))


def test_whole_surfaces() -> None:
    whole = np.zeros((1, 3))
    balls = surface_mesh(np.concatenate([ball(8, 20), ball(8, 20)]))
    ring, rod = surface_mesh(torus(14, 6)), surface_mesh(cylinder(10, 18))
    # Gauss and Bonnet: 2 pi times the Euler characteristic.
    assert gaussian_curvature(balls, np.inf, whole)[0] == pytest.approx(8 * np.pi, abs=1e-6)
    assert gaussian_curvature(ring, np.inf, whole)[0] == pytest.approx(0, abs=1e-6)
    # Integrals of the mean curvature: 4 pi r, 2 pi² R, and pi h + pi² r with the two rims.
    assert mean_curvature(balls, np.inf, whole)[0] == pytest.approx(2 * 4 * np.pi * 8, rel=1e-2)
    assert mean_curvature(ring, np.inf, whole)[0] == pytest.approx(2 * np.pi**2 * 14, rel=1e-2)
    assert mean_curvature(rod, np.inf, whole)[0] == pytest.approx(np.pi * 18 + np.pi**2 * 10, rel=3e-2)


def test_within_a_ball_on_a_sphere() -> None:
    mesh = surface_mesh(ball(15))
    # A ball of radius p around a point of a sphere cuts out a cap of area pi p², whatever the sphere's
    # radius.
    cap = np.pi * 5**2
    assert gaussian_curvature(mesh, 5.0).mean() == pytest.approx(cap / 15**2, rel=4e-2)
    assert mean_curvature(mesh, 5.0).mean() == pytest.approx(cap / 15, rel=2e-2)


def test_anisotropic_voxels_keep_the_curvature() -> None:
    voxel_size = (0.5, 0.3, 0.3)
    mesh = surface_mesh(ball(4, 36, voxel_size), voxel_size)
    areas = mesh.vertex_areas / mesh_area(mesh)
    assert mean_curvature(mesh, 1.5) @ areas == pytest.approx(np.pi * 1.5**2 / 4, rel=3e-2)


def test_sign_follows_the_normals() -> None:
    mesh = surface_mesh(blob(1))
    np.testing.assert_allclose(mean_curvature(mesh.inside_out(), 2.0), -mean_curvature(mesh, 2.0), atol=1e-9)
    turned = gaussian_curvature(mesh.inside_out(), 2.0)
    np.testing.assert_allclose(turned, gaussian_curvature(mesh, 2.0), atol=1e-9)


def test_edges_of_one_or_four_faces_do_not_count() -> None:
    vertices = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [0, -1, 0], [-1, 0, 0.0]])
    fan = Mesh(vertices, np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4], [1, 0, 5]], np.int32))
    assert len(fan.edges[0]) == 0
    assert (mean_curvature(fan, np.inf) == 0).all()


def test_an_empty_mesh_has_no_curvature() -> None:
    empty = surface_mesh(np.zeros((3, 3, 3), bool))
    assert len(mean_curvature(empty, 2.0)) == len(gaussian_curvature(empty, 2.0)) == 0
    assert (mean_curvature(empty, 2.0, np.zeros((2, 3))) == 0).all()


@pytest.mark.parametrize("measure", [gaussian_curvature, mean_curvature])
@pytest.mark.parametrize("radius", [-1.0, np.nan])
def test_a_radius_that_makes_no_sense_is_refused(measure, radius: float) -> None:
    with pytest.raises(ConfigError, match="radius"):
        measure(surface_mesh(ball(3, 10)), radius)
