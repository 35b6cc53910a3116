"""Features of the 2D fluorescence image within the mask: as published, brightness, rings, texture, haze."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dispr_cli.shape.features.feature import FLIP, NOTEBOOK, SHIFT, TURN, Feature
from dispr_cli.shape.features.texture import (
    gabor_sum,
    offset_correlation,
    offset_dissimilarity,
    offset_pairs,
)

GLCM_DISTANCE = 5
NUM_RINGS = 4
"""Rings of equal width in relative depth, from the rim to the middle."""

NUM_SECTOR_ORDERS = 4
BLUR_SIGMAS = (1, 2, 4)
TEXTURE_DISTANCES = (1, 3)
QUANTILES = (10, 50, 90)

_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
_POSE = frozenset({SHIFT, TURN, FLIP})
_HARALICK, _STATISTICS, _RINGS = "Haralick 1973", "descriptive statistics", "radial distribution"

FEATURES = (
    Feature(
        "image_mean",
        "grey",
        "mean of image x mask over the picture, grey values 0 to 255",
        NOTEBOOK,
        _POSE,
        "mean",
    ),
    Feature("image_sd", "grey", "standard deviation of the same", NOTEBOOK, _POSE, "std"),
    Feature(
        "image_gabor",
        "grey",
        "sum of the same after a Gabor filter of 1 cycle per pixel",
        NOTEBOOK,
        _POSE,
        "gabor",
    ),
    Feature(
        "image_glcm_dissimilarity",
        "grey",
        "mean |a - b| of the same over pixels 5 apart along x",
        NOTEBOOK,
        frozenset({SHIFT, FLIP}),
        "glcm_diss",
    ),
    Feature(
        "image_glcm_correlation",
        "1",
        "correlation of a and b over the same pairs",
        NOTEBOOK,
        frozenset({SHIFT, FLIP}),
        "glcm_cor",
    ),
    Feature("brightness_mean", "1", "mean brightness inside the mask", _STATISTICS, _POSE),
    Feature("brightness_sd", "1", "standard deviation inside the mask", _STATISTICS, _POSE),
    Feature("brightness_skewness", "1", "third standardised moment inside the mask", _STATISTICS, _POSE),
    Feature(
        "brightness_kurtosis", "1", "fourth standardised moment inside the mask, minus 3", _STATISTICS, _POSE
    ),
    *(
        Feature(f"brightness_q{quantile}", "1", f"{quantile} % quantile inside the mask", _STATISTICS, _POSE)
        for quantile in QUANTILES
    ),
    *(
        Feature(
            f"ring_{ring}",
            "1",
            f"mean brightness of ring {ring} of {NUM_RINGS} in depth below the outline / brightness_mean",
            _RINGS,
            _POSE,
        )
        for ring in range(1, NUM_RINGS + 1)
    ),
    Feature(
        "haze",
        "1",
        "mean brightness 2 to 6 pixels outside the mask / brightness_mean",
        "out-of-focus light",
        _POSE,
    ),
    *(
        Feature(
            f"sector_power_{order}",
            "1",
            f"power of order {order} of the brightness around the centre / power of order 0",
            "Fourier series over azimuth",
            _POSE,
        )
        for order in range(1, NUM_SECTOR_ORDERS + 1)
    ),
    Feature(
        "gradient_mean", "1", "mean length of the gradient (sigma 1) inside the mask", _STATISTICS, _POSE
    ),
    *(
        Feature(
            f"blob_energy_{sigma}",
            "1",
            f"root mean square inside the mask of sigma² times the Laplacian at sigma = {sigma} pixels",
            "Lindeberg 1998",
            _POSE,
        )
        for sigma in BLUR_SIGMAS
    ),
    *(
        Feature(
            f"texture_{kind}_{distance}",
            "1",
            f"{formula} over pairs inside the mask, {distance} apart in four directions",
            _HARALICK,
            _POSE,
        )
        for distance in TEXTURE_DISTANCES
        for kind, formula in (
            ("contrast", "mean (a - b)²"),
            ("homogeneity", "mean 1 / (1 + 256 (a - b)²)"),
            ("correlation", "correlation of a and b"),
        )
    ),
)


def measure_image_features(image: NDArray[np.floating], mask: NDArray[np.bool_]) -> dict[str, float]:
    """Measure the features listed above.

    Parameters
    ----------
    image
        (Y, X) brightness in [0, 1].
    mask
        (Y, X) bool, not empty.
    """
    values = image.astype(np.float64)
    return (
        _published(values, mask)
        | _brightness(values[mask])
        | _rings(values, mask)
        | _sectors(values, mask)
        | _edges(values, mask)
        | _texture(values, mask)
    )


def _published(image: NDArray[np.float64], mask: NDArray[np.bool_]) -> dict[str, float]:
    masked = np.rint(image * 255) * mask
    return {
        "image_mean": float(masked.mean()),
        "image_sd": float(masked.std()),
        "image_gabor": gabor_sum(masked, 1.0),
        "image_glcm_dissimilarity": offset_dissimilarity(masked, GLCM_DISTANCE),
        "image_glcm_correlation": offset_correlation(masked, GLCM_DISTANCE),
    }


def _brightness(inside: NDArray[np.float64]) -> dict[str, float]:
    mean, sd = inside.mean(), inside.std()
    standard = (inside - mean) / sd if sd > 0 else np.zeros_like(inside)
    quantiles = np.quantile(inside, np.array(QUANTILES) / 100)
    return {
        "brightness_mean": float(mean),
        "brightness_sd": float(sd),
        "brightness_skewness": float((standard**3).mean()),
        "brightness_kurtosis": float((standard**4).mean() - 3),
        **{f"brightness_q{q}": float(value) for q, value in zip(QUANTILES, quantiles, strict=True)},
    }


def _rings(image: NDArray[np.float64], mask: NDArray[np.bool_]) -> dict[str, float]:
    from scipy.ndimage import distance_transform_edt

    mean = image[mask].mean() or np.nan
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    ring = np.minimum((depth / (depth.max() + 1e-9) * NUM_RINGS).astype(np.int64), NUM_RINGS - 1)
    away = distance_transform_edt(~mask)
    around = (away >= 2) & (away <= 6)
    means = [image[mask & (ring == number)] for number in range(NUM_RINGS)]
    values = {
        f"ring_{n}": float(part.mean() / mean) if part.size else np.nan for n, part in enumerate(means, 1)
    }
    return values | {"haze": float(image[around].mean() / mean) if around.any() else np.nan}


def _sectors(image: NDArray[np.float64], mask: NDArray[np.bool_]) -> dict[str, float]:
    places = np.argwhere(mask)
    y, x = (places - places.mean(axis=0)).T
    brightness, azimuth = image[mask], np.arctan2(y, x)
    total = brightness.sum() or np.nan
    return {
        f"sector_power_{order}": float(abs((brightness * np.exp(-1j * order * azimuth)).sum() / total) ** 2)
        for order in range(1, NUM_SECTOR_ORDERS + 1)
    }


def _edges(image: NDArray[np.float64], mask: NDArray[np.bool_]) -> dict[str, float]:
    from scipy.ndimage import gaussian_gradient_magnitude, gaussian_laplace

    values = {"gradient_mean": float(gaussian_gradient_magnitude(image, 1.0)[mask].mean())}
    for sigma in BLUR_SIGMAS:
        response = sigma**2 * gaussian_laplace(image, float(sigma))[mask]
        values[f"blob_energy_{sigma}"] = float(np.sqrt((response**2).mean()))
    return values


def _texture(image: NDArray[np.float64], mask: NDArray[np.bool_]) -> dict[str, float]:
    values = {}
    for distance in TEXTURE_DISTANCES:
        first, second = _pairs_inside(image, mask, distance)
        apart = (first - second) ** 2
        values[f"texture_contrast_{distance}"] = float(apart.mean())
        values[f"texture_homogeneity_{distance}"] = float((1 / (1 + 256 * apart)).mean())
        values[f"texture_correlation_{distance}"] = _symmetric_correlation(first, second)
    return values


def _pairs_inside(
    image: NDArray[np.float64], mask: NDArray[np.bool_], distance: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    firsts, seconds = [], []
    for direction in _DIRECTIONS:
        first, second = offset_pairs(image, distance, direction)
        both = np.logical_and(*offset_pairs(mask, distance, direction))
        firsts.append(first[both])
        seconds.append(second[both])
    return np.concatenate(firsts), np.concatenate(seconds)


def _symmetric_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    if len(first) == 0:
        return float("nan")
    mean = (first.mean() + second.mean()) / 2
    variance = (((first - mean) ** 2).mean() + ((second - mean) ** 2).mean()) / 2
    return float(((first - mean) * (second - mean)).mean() / variance) if variance > 0 else 1.0
