"""A mask where none is there: Otsu's threshold and cleanup, only when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dispr_cli.errors import InputError
from dispr_cli.inputs.ground import ground_label
from dispr_cli.inputs.pieces import number_pieces

SMOOTHING_PIXELS = 1.0
"""Standard deviation of the Gaussian that keeps single noisy pixels from being cells or holes."""

OUTLIER_PERCENTILES = (0.1, 99.9)
DEBRIS_FRACTION = 0.05


def segment_otsu(image: NDArray[Any], min_pixels: int, path: Path) -> tuple[NDArray[np.bool_], list[str]]:
    """Find bright cells on a dark ground by Otsu's threshold.

    The image is smoothed and thresholded where the variance between both classes is largest (Otsu, IEEE
    Trans. Syst. Man Cybern. 9, 1979); holes are filled, and debris is removed: pieces smaller than a
    twentieth of the typical one, that is of the piece in which the middle foreground pixel lies when sorted
    by size.

    Parameters
    ----------
    image
        (Y, X), any real kind of number.
    min_pixels
        Pieces of fewer pixels are removed in any case.
    path
        Named in messages.

    Returns
    -------
    mask
        (Y, X) bool.
    dropped
        What was removed, in words.

    Raises
    ------
    InputError
        If there is nothing to threshold, or the cells are dark.
    """
    from skimage.filters import threshold_otsu

    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise InputError(f"{path}: the image holds NaN or infinite values, so no mask can be made from it.")
    smooth = ndimage.gaussian_filter(image.astype(np.float32), SMOOTHING_PIXELS, mode="nearest")
    # A few hot pixels would leave all cells in one bin of Otsu's histogram.
    smooth = np.clip(smooth, *np.percentile(smooth, OUTLIER_PERCENTILES))
    if smooth.min() == smooth.max():
        raise InputError(f"{path}: the image has one intensity throughout, so no mask can be made from it.")
    bright = smooth > threshold_otsu(smooth)
    if ground_label(bright, min_pixels) is not None:
        raise InputError(
            f"{path}: Otsu's threshold finds bright cells on a dark ground, but here the bright part goes "
            "around the dark one; give --invert if the cells are dark."
        )
    filled = ndimage.binary_fill_holes(bright)
    pieces, count = number_pieces(filled)
    areas = np.bincount(pieces.ravel(), minlength=count + 1)
    areas[0] = 0
    keep = areas >= max(min_pixels, DEBRIS_FRACTION * _typical(areas))
    if not keep.any():
        raise InputError(f"{path}: Otsu's threshold finds no cell of at least {min_pixels} pixels.")
    debris = count - np.count_nonzero(keep)
    return keep[pieces], [f"Otsu's threshold: {debris} piece(s) of debris"] if debris else []


def _typical(areas: NDArray[np.int64]) -> int:
    """Return the area of the piece that holds the middle pixel when pieces are sorted by area."""
    ordered = np.sort(areas)
    return int(ordered[np.searchsorted(np.cumsum(ordered), ordered.sum() / 2)])
