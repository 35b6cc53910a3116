"""Meshes against closed forms, scikit-image, and what a closed surface must be."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import marching_cubes, mesh_surface_area

from dispr_cli.errors import ConfigError
from dispr_cli.shape.mesh import Mesh, mesh_area, mesh_volume, surface_area, surface_mesh, z_extent
from tests.shape.solids import ball, blob, cylinder, spheroid, torus


def euler_characteristic(mesh: Mesh) -> int:
    sides = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    edges, counts = np.unique(sides, axis=0, return_counts=True)
    assert (counts == 2).all(), "the surface has a border"
    return len(mesh.vertices) - len(edges) + len(mesh.faces)


def test_ball() -> None:
    mesh = surface_mesh(ball(14))
    assert mesh_area(mesh) == pytest.approx(4 * np.pi * 14**2, rel=3e-3)
    assert mesh_volume(mesh) == pytest.approx(4 / 3 * np.pi * 14**3, rel=5e-3)
    assert z_extent(mesh) == pytest.approx(28, rel=3e-3)
    assert euler_characteristic(mesh) == 2


@pytest.mark.parametrize(("polar", "equatorial"), [(7.0, 15.0), (16.0, 9.0)])
def test_spheroid(polar: float, equatorial: float) -> None:
    eccentricity = np.sqrt(1 - (min(polar, equatorial) / max(polar, equatorial)) ** 2)
    if polar < equatorial:
        ratio = (1 - eccentricity**2) / eccentricity * np.arctanh(eccentricity)
    else:
        ratio = polar / (equatorial * eccentricity) * np.arcsin(eccentricity)
    mesh = surface_mesh(spheroid(polar, equatorial))
    assert mesh_area(mesh) == pytest.approx(2 * np.pi * equatorial**2 * (1 + ratio), rel=5e-3)
    assert mesh_volume(mesh) == pytest.approx(4 / 3 * np.pi * polar * equatorial**2, rel=5e-3)


def test_torus() -> None:
    mesh = surface_mesh(torus(15, 6))
    assert mesh_area(mesh) == pytest.approx(4 * np.pi**2 * 15 * 6, rel=5e-3)
    assert mesh_volume(mesh) == pytest.approx(2 * np.pi**2 * 15 * 6**2, rel=1e-2)
    assert euler_characteristic(mesh) == 0


def test_cylinder() -> None:
    mesh = surface_mesh(cylinder(12, 20))
    # The grid rounds the rims off, which costs up to a voxel along each.
    assert mesh_area(mesh) == pytest.approx(2 * np.pi * 12 * (12 + 20), rel=2.5e-2)
    assert mesh_volume(mesh) == pytest.approx(np.pi * 12**2 * 20, rel=1e-2)


def test_anisotropic_voxels() -> None:
    voxel_size = (0.5, 0.2, 0.25)
    mesh = surface_mesh(ball(3, 40, voxel_size), voxel_size)
    assert mesh_area(mesh) == pytest.approx(4 * np.pi * 9, rel=1e-2)
    assert mesh_volume(mesh) == pytest.approx(4 / 3 * np.pi * 27, rel=1e-2)
    assert z_extent(mesh) == pytest.approx(6, rel=1e-2)


def test_one_voxel_is_an_octahedron() -> None:
    volume = np.zeros((3, 3, 3), bool)
    volume[1, 1, 1] = True
    mesh = surface_mesh(volume)
    assert (len(mesh.vertices), len(mesh.faces)) == (6, 8)
    assert mesh_area(mesh) == pytest.approx(np.sqrt(3), rel=1e-12)
    assert mesh_volume(mesh) == pytest.approx(1 / 6, rel=1e-12)
    np.testing.assert_allclose(mesh.vertices.mean(axis=0), [1, 1, 1])
    assert surface_area(np.ones((1, 1, 1), bool)) == pytest.approx(np.sqrt(3), rel=1e-12)


def test_a_cell_cut_by_the_grid_is_closed_there() -> None:
    whole = ball(9, 30)
    half = surface_mesh(whole[15:])
    assert euler_characteristic(half) == 2
    assert mesh_volume(half) == pytest.approx(mesh_volume(surface_mesh(whole)) / 2, rel=6e-2)
    with pytest.raises(AssertionError, match="border"):
        euler_characteristic(surface_mesh(whole[15:], closed=False))


def test_parts_apart_are_measured_together() -> None:
    parts = np.concatenate([ball(8, 20), ball(8, 20)])
    assert surface_area(parts) == pytest.approx(2 * surface_area(ball(8, 20)), rel=1e-9)
    assert euler_characteristic(surface_mesh(parts)) == 4


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_scikit_image(seed: int) -> None:
    volume = (np.pad(blob(seed), 1) * 255).astype(np.uint8)
    mesh = surface_mesh(volume)
    vertices, faces, _, _ = marching_cubes(volume, 127.5)
    assert mesh.faces.shape == faces.shape
    assert mesh.faces.dtype == np.int32
    np.testing.assert_allclose(np.sort(mesh.vertices, axis=0), np.sort(vertices, axis=0), atol=1e-5)
    assert mesh_area(mesh) == pytest.approx(mesh_surface_area(vertices, faces), rel=1e-6)


def test_values_at_the_very_level_make_no_double_vertices() -> None:
    volume = np.round(blob(1) * 4) / 4
    volume[3:6, 3:6, 3:6] = 0.5
    mesh = surface_mesh(volume)
    assert len(np.unique(mesh.vertices, axis=0)) == len(mesh.vertices)
    assert (mesh.face_areas > 0).all()
    euler_characteristic(mesh)


def test_normals_point_outwards_and_turn_round() -> None:
    mesh = surface_mesh(ball(6, 20))
    outwards = mesh.vertices[mesh.faces].mean(axis=1) - mesh.vertices.mean(axis=0)
    assert (np.einsum("ij,ij->i", mesh.face_normals, outwards) > 0).all()
    assert mesh_volume(mesh.inside_out()) == pytest.approx(-mesh_volume(mesh), rel=1e-12)


def test_vertex_areas_add_up() -> None:
    mesh = surface_mesh(blob(0))
    assert mesh.vertex_areas.sum() == pytest.approx(mesh_area(mesh), rel=1e-12)


@pytest.mark.parametrize("closed", [True, False])
def test_an_empty_volume_has_an_empty_mesh(closed: bool) -> None:
    mesh = surface_mesh(np.zeros((4, 4, 4), np.uint8), closed=closed)
    assert mesh.is_empty
    assert mesh_area(mesh) == mesh_volume(mesh) == z_extent(mesh) == 0.0


@pytest.mark.parametrize(
    "voxel_size", [(1.0, 1.0), (1.0, 0.0, 1.0), (1.0, -1.0, 1.0), (1.0, np.nan, 1.0), 1.0]
)
def test_a_voxel_size_that_makes_no_sense_is_refused(voxel_size) -> None:
    with pytest.raises(ConfigError, match="three positive numbers"):
        surface_mesh(ball(3, 10), voxel_size)
