"""Published measures of the projection along z: how many voxels are filled above each pixel."""

from __future__ import annotations

import numpy as np

from dispr_cli.shape.features.feature import (
    ABOUT_PLANE,
    ANY_POSE,
    FLIP,
    NOTEBOOK,
    SHIFT,
    UPSIDE,
    Feature,
)
from dispr_cli.shape.features.prepared import PreparedShape
from dispr_cli.shape.features.texture import gabor_sum, offset_correlation, offset_dissimilarity

GLCM_DISTANCE = 5
"""Pixels along x between the pairs that are compared."""

_HARALICK = f"{NOTEBOOK}; Haralick 1973"
_HEIGHTLESS = frozenset({UPSIDE})
_ALONG_X = frozenset({SHIFT, FLIP, UPSIDE})

FEATURES = (
    Feature(
        "projection_mean", "voxel", "mean of the z-projection over the grid", NOTEBOOK, ANY_POSE, "zsum_mean"
    ),
    Feature("projection_sd", "voxel", "standard deviation of it", NOTEBOOK, ABOUT_PLANE, "zsum_std"),
    Feature("projection_max", "voxel", "its largest value", NOTEBOOK, ABOUT_PLANE, "zsum_max"),
    Feature(
        "projection_moment_x",
        "voxel",
        "m01 / m00 of it: centre along x",
        NOTEBOOK,
        _HEIGHTLESS,
        "moment_cr_zsum",
    ),
    Feature(
        "projection_moment_y",
        "voxel",
        "m10 / m00 of it: centre along y",
        NOTEBOOK,
        _HEIGHTLESS,
        "moment_cc_zsum",
    ),
    Feature(
        "projection_glcm_dissimilarity",
        "voxel",
        "mean |a - b| over pairs of pixels 5 apart along x",
        _HARALICK,
        _ALONG_X,
        "glcm_diss",
    ),
    Feature(
        "projection_glcm_correlation",
        "1",
        "correlation of a and b over the same pairs, taken both ways",
        _HARALICK,
        _ALONG_X,
        "glcm_corr",
    ),
    Feature(
        "projection_gabor",
        "voxel³",
        "sum of the projection filtered by a Gabor filter of 1 cycle per pixel",
        NOTEBOOK,
        ANY_POSE,
        "gabor_zsum",
    ),
)


def measure_projection_features(shape: PreparedShape) -> dict[str, float]:
    """Return the features listed above."""
    projection = shape.projection
    total = projection.sum()
    height, width = projection.shape
    return {
        "projection_mean": float(projection.mean()),
        "projection_sd": float(projection.std()),
        "projection_max": float(projection.max()),
        "projection_moment_x": float(projection.sum(axis=0) @ np.arange(width) / total),
        "projection_moment_y": float(projection.sum(axis=1) @ np.arange(height) / total),
        "projection_glcm_dissimilarity": offset_dissimilarity(projection, GLCM_DISTANCE),
        "projection_glcm_correlation": offset_correlation(projection, GLCM_DISTANCE),
        "projection_gabor": gabor_sum(projection, 1.0),
    }
