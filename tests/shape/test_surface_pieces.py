from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.shape.mesh import mesh_volume, surface_mesh
from dispr_cli.shape.surface_pieces import piece_volumes
from tests.shape.solids import ball, blob


def test_a_hollow_ball_beside_another() -> None:
    solid = ball(10, 24)
    hollow = np.minimum(solid, 1 - ball(5, 24))
    volumes = piece_volumes(surface_mesh(np.concatenate([hollow, solid])))
    expected = 4 / 3 * np.pi * np.array([-(5**3), 10**3, 10**3])
    np.testing.assert_allclose(np.sort(volumes), expected, rtol=0.03)


@pytest.mark.parametrize("seed", range(4))
def test_pieces_add_up_and_are_as_many_as_trimesh_finds(seed: int) -> None:
    import trimesh

    mesh = surface_mesh(blob(seed))
    volumes = piece_volumes(mesh)
    assert volumes.sum() == pytest.approx(mesh_volume(mesh), rel=1e-9)
    theirs = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert len(volumes) == theirs.body_count
    assert len(piece_volumes(surface_mesh(np.zeros((4, 4, 4))))) == 0
