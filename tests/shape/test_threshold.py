"""Thresholds against scikit-image, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.filters import threshold_otsu

from dispr_cli.errors import CellError
from dispr_cli.shape.threshold import as_grey, foreground, otsu_threshold
from tests.shape.solids import ball


def test_the_three_kinds_meet_in_grey_values() -> None:
    grey = np.array([0, 127, 128, 255], np.uint8).reshape(1, 2, 2)
    assert as_grey(grey).dtype == np.float32
    np.testing.assert_array_equal(foreground(grey).ravel(), [False, False, True, True])
    np.testing.assert_allclose(as_grey(grey / 255), as_grey(grey), rtol=1e-6)
    np.testing.assert_array_equal(as_grey(grey > 127).ravel(), [0, 0, 255, 255])


def test_one_half_itself_lies_outside() -> None:
    assert not foreground(np.full((1, 1, 1), 0.5)).any()


@pytest.mark.parametrize("maximum", [255, 200])
def test_otsu_is_scikit_images(maximum: int) -> None:
    noise = np.random.default_rng(3).normal(0, 20, (20, 20, 20))
    grey = np.clip(ball(6, 20) * maximum * 0.8 + noise + 20, 0, maximum).astype(np.uint8)
    expected = threshold_otsu(grey / grey.max()) * grey.max()
    assert otsu_threshold(grey) == pytest.approx(expected, rel=1e-12)


def test_otsu_of_a_single_value_leaves_nothing_inside() -> None:
    for value in (0, 90, 255):
        grey = np.full((3, 3, 3), value, np.uint8)
        assert not foreground(grey, otsu_threshold(grey)).any()


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (np.zeros((3, 3)), "3D"),
        (np.zeros((0, 3, 3)), "at least one voxel"),
        (np.full((2, 2, 2), np.nan), "without NaN"),
        (np.full((2, 2, 2), np.inf), "lie in"),
        (np.full((2, 2, 2), 255.0), "Divide grey values by 255"),
        (np.full((2, 2, 2), -0.5), "lie in"),
        (np.zeros((2, 2, 2), np.int64), "int64"),
    ],
)
def test_other_arrays_are_refused(volume: np.ndarray, message: str) -> None:
    with pytest.raises(CellError, match=message):
        foreground(volume)
    with pytest.raises(CellError, match=message):
        otsu_threshold(volume)
