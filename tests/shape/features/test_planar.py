from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.feature import graycomatrix, graycoprops
from skimage.filters import gabor
from skimage.measure import regionprops
from skimage.morphology import convex_hull_image

from dispr_cli.errors import CellError
from dispr_cli.shape.features.feature import FLIP, SHIFT, TURN
from dispr_cli.shape.features.planar import PLANAR_FEATURES, measure_plane
from tests.shape.features.test_registry import SHAPE


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    return SHAPE[34] > 127


@pytest.fixture(scope="module")
def image(mask: np.ndarray) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(0).random(mask.shape), 1.0)
    seen = gaussian_filter(SHAPE.sum(axis=0) / 255.0, 1.0)
    return np.clip(seen / seen.max() * 0.8 + noise * 0.2, 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def values(image: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    return measure_plane(image, mask)


def test_every_feature_has_a_value(values: dict[str, float]) -> None:
    assert list(values) == [feature.name for feature in PLANAR_FEATURES]
    assert np.isfinite(list(values.values())).all()


def test_published_ones_as_scikit_image(values: dict, image: np.ndarray, mask: np.ndarray) -> None:
    masked = np.rint(image.astype(float) * 255) * mask
    matrix = graycomatrix(masked.astype(np.uint8), [5], [0], 256, symmetric=True, normed=True)
    expected = {
        "mask_roughness": ((gaussian_filter(mask.astype(float), 2) > 0.5) != mask).sum(),
        "mask_hull_excess": convex_hull_image(mask).sum() - mask.sum(),
        "mask_gabor_1": gabor(mask.astype(float), 1)[0].sum(),
        "mask_gabor_01": gabor(mask.astype(float), 0.1)[0].sum(),
        "image_gabor": gabor(masked, 1)[0].sum(),
        "image_glcm_dissimilarity": graycoprops(matrix, "dissimilarity")[0, 0],
        "image_glcm_correlation": graycoprops(matrix, "correlation")[0, 0],
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, rel=1e-6), name


def test_form_as_scikit_image(values: dict[str, float], mask: np.ndarray) -> None:
    region = regionprops(mask.astype(int))[0]
    # scikit-image takes pixels for points; ours are squares, which adds 1 / 12 to each variance.
    for name, theirs in (("long", region.axis_major_length), ("short", region.axis_minor_length)):
        ours = 2 * values[f"mask_semi_axis_{name}"]
        assert ours**2 == pytest.approx(theirs**2 + 16 / 12, rel=1e-6)
    assert values["mask_feret_max"] == pytest.approx(region.feret_diameter_max, rel=0.02)
    found = [values[f"mask_hu_{number}"] for number in range(1, 5)]
    np.testing.assert_allclose(found, np.log10(1 + 1e6 * np.abs(region.moments_hu[:4])), rtol=1e-6)


def test_a_disc() -> None:
    y, x = np.mgrid[:64, :64] - 31.5
    disc = np.hypot(y, x) < 20
    found = measure_plane(np.where(disc, 0.7, 0.1), disc, 0.5)
    assert found["mask_area"] == pytest.approx(np.pi * 100, rel=0.01)
    # The outline of marching squares cuts corners, but is longer than the circle by the staircase.
    assert found["mask_perimeter"] == pytest.approx(20 * np.pi, rel=0.06)
    assert (found["mask_feret_max"], found["mask_feret_min"]) == pytest.approx((20, 20), rel=0.05)
    assert found["mask_solidity"] == pytest.approx(1, abs=0.03)
    assert found["mask_elongation"] == pytest.approx(1)
    assert max(found[f"mask_outline_power_{order}"] for order in range(1, 9)) < 1e-3
    assert found["brightness_mean"] == pytest.approx(0.7)
    assert found["haze"] == pytest.approx(1 / 7)
    assert [found[f"ring_{ring}"] for ring in range(1, 5)] == pytest.approx([1] * 4)
    assert found["texture_contrast_1"] == 0
    assert found["texture_correlation_1"] == 1


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (SHIFT, lambda picture: np.roll(picture, (3, -2), (0, 1))),
        (TURN, lambda picture: np.rot90(picture)),
        (FLIP, lambda picture: picture[:, ::-1]),
    ],
)
def test_declared_invariances_hold(
    kind: str, change, values: dict, image: np.ndarray, mask: np.ndarray
) -> None:
    changed = measure_plane(change(image).copy(), change(mask).copy())
    for feature in PLANAR_FEATURES:
        if kind in feature.invariances:
            value = values[feature.name]
            assert changed[feature.name] == pytest.approx(value, rel=2e-3, abs=1e-6), feature.name


def test_a_mask_of_nothing_says_so(image: np.ndarray) -> None:
    with pytest.raises(CellError, match="at least 3 pixels"):
        measure_plane(image, np.zeros(image.shape, bool))
