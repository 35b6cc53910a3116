"""What a cell looks like in fourteen numbers, to tell whether a network has seen the like of it.

No network is asked: a network's own features of a cell turned out to tell less (docs/trust.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dispr_cli.inputs.cell import Cell

APPEARANCE = (
    "log_area",
    "log_compactness",
    "log_elongation",
    "log_thickness",
    "log_spread",
    "inside_mean",
    "inside_sd",
    "outside_mean",
    "outside_sd",
    "rim_over_core",
    "log_edges_inside",
    "log_edges_outside",
    "log_grain_inside",
    "log_grain_outside",
)
"""Names of the numbers: five of the mask, nine of the image."""

_RIM = 3.0
_CORE = 4.0
# Keeps the logarithm of a flat image finite; a thousandth of the image's range.
_FLAT = 1e-3


def appearance(cell: Cell) -> NDArray[np.float64] | None:
    """Describe a cell, (14,) as :data:`APPEARANCE` names them; None for a mask without a pixel.

    Turning or mirroring a cell changes nothing but the resampling. Depends on this cell alone.
    """
    mask, image = cell.mask, cell.image.astype(np.float64)
    if not mask.any():
        return None
    depth = _depth(mask)
    return np.array([*_of_mask(mask, depth), *_of_image(image, mask, depth)])


def _of_mask(mask: NDArray[np.bool_], depth: NDArray[np.float64]) -> list[float]:
    area = float(np.count_nonzero(mask))
    outline = 1.0 + np.count_nonzero(mask[1:] != mask[:-1]) + np.count_nonzero(mask[:, 1:] != mask[:, :-1])
    y, x = np.nonzero(mask)
    moments = np.cov(np.stack([y, x]), bias=True) + np.eye(2) / 12.0  # of a pixel, itself a square
    minor, major = np.linalg.eigvalsh(moments)
    thickest = depth.max()
    return [
        float(np.log(area)),
        float(np.log(outline**2 / area)),
        float(0.5 * np.log(major / minor)),
        float(np.log(thickest**2 / area)),
        float(0.5 * np.log(major * minor) - np.log(area)),
    ]


def _of_image(image: NDArray[np.float64], mask: NDArray[np.bool_], depth: NDArray[np.float64]) -> list[float]:
    inside = image[mask]
    outside = image[~mask] if not mask.all() else np.zeros(1)
    core = image[depth > _CORE] if (depth > _CORE).any() else inside
    edges = np.hypot(*np.gradient(image))
    grain = np.abs(_laplacian(image))
    numbers = [inside.mean(), inside.std(), outside.mean(), outside.std()]
    numbers += [image[mask & (depth <= _RIM)].mean() - core.mean()]
    for texture in (edges, grain):
        numbers += [np.log(texture[mask].mean() + _FLAT)]
        numbers += [np.log((texture[~mask].mean() if not mask.all() else 0.0) + _FLAT)]
    return [float(number) for number in numbers]


def _depth(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance of each pixel of the mask to the nearest outside, beyond the grid being outside."""
    from scipy.ndimage import distance_transform_edt

    depth: NDArray[np.float64] = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return depth


def _laplacian(image: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(image, 1, mode="edge")
    around = padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2]
    sum_of_differences: NDArray[np.float64] = around - 4.0 * image
    return sum_of_differences
