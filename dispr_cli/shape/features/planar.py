"""Every feature of a cell's 2D image and mask: what a microscope sees without any reconstruction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import CellError
from dispr_cli.shape.features import image_features, mask_features

PLANAR_FEATURES = (*mask_features.FEATURES, *image_features.FEATURES)
"""Every feature of the image and the mask, in the order of the tables."""


def measure_plane(
    image: NDArray[np.floating], mask: NDArray[np.bool_], voxel_size_um: float | None = None
) -> dict[str, float]:
    """Measure every feature of a cell's image and mask.

    Parameters
    ----------
    image
        (Y, X) brightness in [0, 1].
    mask
        (Y, X) bool.
    voxel_size_um
        Side of a pixel of the grid in micrometres; with None lengths are in pixels.

    Returns
    -------
    dict
        A number for each of :data:`PLANAR_FEATURES`, in that order; NaN where it has no value.

    Raises
    ------
    CellError
        If the mask has fewer than three pixels, or image and mask differ in shape.
    """
    if image.shape != mask.shape or np.count_nonzero(mask) < 3:
        raise CellError(
            f"The image has shape {image.shape}, the mask {mask.shape} with {np.count_nonzero(mask)} pixels "
            "inside; equal shapes and at least 3 pixels were expected."
        )
    measured = mask_features.measure_mask_features(mask, voxel_size_um or 1.0)
    measured |= image_features.measure_image_features(image, mask)
    return {feature.name: measured[feature.name] for feature in PLANAR_FEATURES}
