"""A mask where none is there: Otsu's threshold and cleanup, only when asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dispr_cli.errors import InputError
from dispr_cli.inputs.cell import GRID

SMOOTHING_PIXELS = 1.0
"""Standard deviation of the Gaussian that keeps single noisy pixels from being cells or holes."""

_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def segment_otsu(image: NDArray, min_pixels: int, path: Path) -> NDArray[np.bool_]:
    """Bright cells on a dark ground, by Otsu's threshold.

    The image is smoothed, thresholded where the variance between both classes is largest (Otsu, IEEE Trans.
    Syst. Man Cybern. 9, 1979), holes are filled and specks removed. Of an image that is 64 x 64, hence a crop
    of one cell, only the largest piece is kept.

    Parameters
    ----------
    image
        (Y, X), any real kind of number.
    min_pixels
        Pieces of fewer pixels are removed.
    path
        Named in messages.

    Returns
    -------
    ndarray
        (Y, X) bool.

    Raises
    ------
    InputError
        If there is nothing to threshold.
    """
    from skimage.filters import threshold_otsu

    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise InputError(f"{path}: the image holds NaN or infinite values, so no mask can be made from it.")
    if image.min() == image.max():
        raise InputError(f"{path}: the image has one intensity throughout, so no mask can be made from it.")
    smooth = ndimage.gaussian_filter(image.astype(np.float32), SMOOTHING_PIXELS, mode="nearest")
    filled = ndimage.binary_fill_holes(smooth > threshold_otsu(smooth))
    pieces, _ = ndimage.label(filled, _EIGHT_NEIGHBOURS)
    areas = np.bincount(pieces.ravel())
    areas[0] = 0
    keep = areas >= (max(min_pixels, areas.max()) if image.shape == (GRID, GRID) else min_pixels)
    keep[0] = False
    if not keep.any():
        raise InputError(f"{path}: Otsu's threshold finds no cell of at least {min_pixels} pixels.")
    return keep[pieces]
