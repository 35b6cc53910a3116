"""The compiled ground against NumPy, on meshes small enough to see through."""

from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.shape.connectivity import angles_of, outgoing_edges, shared_edges, vertex_defects
from dispr_cli.shape.mesh import surface_mesh
from tests.shape.solids import blob

TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], np.int32)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_angles_are_numpys(scale: float) -> None:
    near_ends = np.logspace(-12, 0, 500)
    angles = np.concatenate([np.linspace(0, np.pi, 5001), near_ends, np.pi - near_ends])
    cosines, sines = scale * np.cos(angles), scale * np.abs(np.sin(angles))
    np.testing.assert_allclose(angles_of(cosines, sines), np.arctan2(sines, cosines), rtol=1e-14, atol=5e-15)


def test_defects_add_up_to_the_euler_characteristic() -> None:
    corner = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    defects = vertex_defects(corner, TETRAHEDRON)
    assert defects[0] == pytest.approx(2 * np.pi - 3 * np.pi / 2)
    assert defects.sum() == pytest.approx(4 * np.pi)


def test_faces_without_area_have_no_angles() -> None:
    line = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0.0]])
    np.testing.assert_allclose(vertex_defects(line, np.array([[0, 1, 2]], np.int32)), 2 * np.pi)


def test_every_edge_of_a_tetrahedron_is_shared_once() -> None:
    edges, pairs = shared_edges(4, TETRAHEDRON)
    assert sorted(map(tuple, edges.tolist())) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    for edge, pair in zip(edges, pairs, strict=True):
        assert set(edge.tolist()) == set(TETRAHEDRON[pair[0]]) & set(TETRAHEDRON[pair[1]])


def test_outgoing_edges_reach_every_neighbour_once() -> None:
    mesh = surface_mesh(blob(0))
    starts, ends = outgoing_edges(len(mesh.vertices), mesh.faces)
    edges = mesh.edges[0]
    assert len(ends) == 2 * len(edges)
    found = {
        (vertex, end)
        for vertex in range(len(starts) - 1)
        for end in ends[starts[vertex] : starts[vertex + 1]]
    }
    assert found == {(a, b) for a, b in edges.tolist()} | {(b, a) for a, b in edges.tolist()}
