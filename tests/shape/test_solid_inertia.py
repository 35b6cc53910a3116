from __future__ import annotations

import numpy as np
import trimesh

from dispr_cli.shape.mesh import surface_mesh
from dispr_cli.shape.solid_inertia import solid_inertia
from tests.shape.solids import blob, cylinder, spheroid


def test_a_spheroid_and_a_cylinder() -> None:
    polar, equatorial = 8.0, 14.0
    volume = 4 / 3 * np.pi * polar * equatorial**2
    across, along = volume / 5 * (polar**2 + equatorial**2), volume / 5 * 2 * equatorial**2
    tensor = solid_inertia(surface_mesh(spheroid(polar, equatorial)))
    np.testing.assert_allclose(np.diag(tensor), [along, across, across], rtol=0.01)
    assert np.abs(tensor - np.diag(np.diag(tensor))).max() < 1e-3 * along
    radius, height = 12.0, 16.0
    mass = np.pi * radius**2 * height
    tensor = solid_inertia(surface_mesh(cylinder(radius, height)))
    np.testing.assert_allclose(tensor[0, 0], mass * radius**2 / 2, rtol=0.02)
    np.testing.assert_allclose(tensor[1, 1], mass * (3 * radius**2 + height**2) / 12, rtol=0.02)


def test_any_closed_mesh_as_trimesh() -> None:
    mesh = surface_mesh(blob(3), (2.0, 1.0, 1.5))
    theirs = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    np.testing.assert_allclose(solid_inertia(mesh), theirs.moment_inertia, rtol=1e-9, atol=1e-9)
