"""The area of a surface that is never built."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from dispr_cli.errors import CellError
from dispr_cli.shape.mesh import surface_area
from dispr_cli.shape.unmeshed_area import unmeshed_area


def ball(radius: float, size: int = 32) -> np.ndarray:
    z, y, x = np.ogrid[:size, :size, :size]
    distance = np.sqrt(sum((axis - (size - 1) / 2) ** 2 for axis in (z, y, x)))
    return np.round(np.clip(radius - distance + 0.5, 0, 1) * 255).astype(np.uint8)


def test_a_ball_has_the_area_of_a_ball() -> None:
    assert unmeshed_area(ball(11.0)) == pytest.approx(4 * np.pi * 11.0**2, rel=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_area_of_the_mesh(seed: int) -> None:
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(24, 28, 20)), 2.5)
    volume = np.round(np.clip(smooth / smooth.std() * 60 + 110, 0, 255)).astype(np.uint8)
    assert unmeshed_area(volume) == pytest.approx(surface_area(volume), rel=2e-3)


def test_faces_that_touch_at_an_edge_or_a_corner_are_counted_once_each() -> None:
    apart, edge, corner = (np.zeros((6, 6, 6), np.uint8) for _ in range(3))
    apart[1, 1, 1] = edge[1, 1, 1] = corner[1, 1, 1] = 255
    apart[4, 4, 4] = edge[1, 2, 2] = corner[2, 2, 2] = 255
    assert unmeshed_area(edge) == pytest.approx(unmeshed_area(apart), rel=0.1)
    assert unmeshed_area(corner) == pytest.approx(unmeshed_area(apart), rel=1e-9)


def test_a_full_grid_is_closed_at_its_border_and_an_empty_one_has_no_surface() -> None:
    full = np.full((10, 10, 10), 255, np.uint8)
    assert unmeshed_area(full) == pytest.approx(surface_area(full), rel=1e-6)
    assert unmeshed_area(np.zeros((10, 10, 10), np.uint8)) == 0.0


def test_other_arrays_are_refused() -> None:
    with pytest.raises(CellError, match="uint8"):
        unmeshed_area(np.zeros((4, 4, 4), np.float32))
