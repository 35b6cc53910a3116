from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.errors import CellError
from dispr_cli.shape.shell_descriptor import BLUR, SURFACE_RADIUS, shell_descriptor
from tests.shape.solids import ball, spheroid


def test_a_ball_has_band_0_alone() -> None:
    found = shell_descriptor(ball(14, 34))
    radii = np.arange(32) + 0.5
    expected = radii * np.sqrt(4 * np.pi) * np.exp(-(((radii - SURFACE_RADIUS) / BLUR) ** 2))
    np.testing.assert_allclose(found[:, 0], expected, rtol=0.05, atol=0.5)
    assert found[:, 1:].max() < 0.02 * found[:, 0].max()


def test_pose_place_and_size_do_not_matter() -> None:
    shape = spheroid(7, 14) * (np.arange(40)[:, None, None] < 24)
    found = shell_descriptor(shape)
    moved = np.roll(np.rot90(shape, 1, (0, 2)), (1, -2, 1), (0, 1, 2))
    np.testing.assert_allclose(shell_descriptor(moved), found, atol=0.02 * found.max())
    larger = spheroid(10.5, 21, 60) * (np.arange(60)[:, None, None] < 36)
    assert np.corrcoef(shell_descriptor(larger).ravel(), found.ravel())[0, 1] > 0.995


def test_even_shapes_have_even_bands() -> None:
    found = shell_descriptor(spheroid(8, 16))
    assert found[:, 1::2].max() < 0.05 * found[:, 2].max()


def test_an_empty_shape_says_so() -> None:
    with pytest.raises(CellError, match="empty"):
        shell_descriptor(np.zeros((8, 8, 8), bool))
