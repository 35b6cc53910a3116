from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.shape.convex_hull import (
    convex_hull,
    even_directions,
    longest_width,
    mean_width,
    shortest_width,
    voxels_within,
    widths,
)
from dispr_cli.shape.mesh import surface_mesh
from tests.shape.solids import blob, spheroid


@pytest.mark.parametrize("seed", range(6))
def test_voxels_within_the_hull_are_those_of_scikit_image(seed: int) -> None:
    from skimage.morphology import convex_hull_image

    inside = np.pad(blob(seed) > 0.5, 1)
    hull = convex_hull(surface_mesh(inside).vertices)
    assert voxels_within(hull, inside.shape) == convex_hull_image(inside).sum()


def test_walls_along_a_row_bound_it() -> None:
    inside = np.zeros((8, 8, 8), bool)
    inside[2:5, 3:6, 1:7] = True
    corners = np.argwhere(inside).astype(float)
    assert voxels_within(convex_hull(corners), inside.shape) == inside.sum()


def test_leaving_inner_points_out_changes_nothing() -> None:
    from scipy.spatial import ConvexHull

    vertices = surface_mesh(spheroid(9, 15)).vertices
    assert len(vertices) > 500
    hull, whole = convex_hull(vertices), ConvexHull(vertices)
    assert len(hull.corners) == len(whole.vertices)
    assert hull.content == pytest.approx(whole.volume, rel=1e-12)
    assert hull.boundary == pytest.approx(whole.area, rel=1e-12)


def test_widths_of_a_box_and_a_rectangle() -> None:
    box = np.array([[z, y, x] for z in (0, 3) for y in (0, 4) for x in (0, 12)], float)
    hull = convex_hull(box)
    assert longest_width(hull) == pytest.approx(13)
    assert shortest_width(hull) == pytest.approx(3)
    # Cauchy: the mean width of a box is half the sum of its sides.
    assert mean_width(hull) == pytest.approx(9.5, rel=1e-3)
    rectangle = convex_hull(box[:4, 1:] * [1, 1])
    assert (longest_width(rectangle), shortest_width(rectangle)) == pytest.approx((np.hypot(4, 12), 4))
    assert widths(rectangle, np.array([[0.0, 1.0]])) == pytest.approx([12])


def test_directions_are_even() -> None:
    directions = even_directions(500)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    np.testing.assert_allclose(directions.T @ directions / 500, np.eye(3) / 3, atol=2e-3)
