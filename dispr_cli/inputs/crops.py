"""One region of an image becomes a cell on the network's 64 x 64 grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dispr_cli.errors import CellError
from dispr_cli.inputs.cell import GRID
from dispr_cli.inputs.labels import Region
from dispr_cli.inputs.pixel_size import PixelSize
from dispr_cli.inputs.settings import InputSettings

TRAINING_DIAMETER = 40.7
"""Mean diameter, in voxels, of the circle with a training cell's area: 40.7 +- 6.4 over 108 SHAPR masks."""

MARGIN = 1
"""Voxels that stay free on each side of a resampled cell."""

LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.5
"""Of the crop, and of the pixels inside the mask: what becomes 0 and 1."""

_OUTLINE_SMOOTHING_PIXELS = 0.7
_EQUAL_SCALE = 0.01


@dataclass(frozen=True, slots=True)
class Placement:
    """How a region lies on the grid.

    Attributes
    ----------
    scale
        Grid voxels per pixel along (y, x).
    voxel_size_um
        Side of a voxel in micrometres; None if unknown.
    verbatim
        The image is the grid already and is taken as it stands.
    """

    scale: tuple[float, float]
    voxel_size_um: float | None
    verbatim: bool = False


def place_region(
    region: Region,
    alone: bool,
    image_shape: tuple[int, int],
    pixel_size: PixelSize | None,
    settings: InputSettings,
    has_truth: bool = False,
) -> Placement:
    """Decide the scale of a crop.

    Parameters
    ----------
    region
        The cell in the mask.
    alone
        Whether it is the only cell its file is about.
    image_shape
        (height, width) of the image.
    pixel_size
        None if unknown.
    settings
        ``scale`` and ``grid_voxel_size_um`` count here.
    has_truth
        A cell with a 3D ground truth on the grid stays registered to it whatever `settings.scale` says.

    Raises
    ------
    CellError
        If the cell is larger than the field, or has to be physical and the pixel size is unknown.
    """
    square = pixel_size is None or abs(pixel_size.y_um / pixel_size.x_um - 1) < _EQUAL_SCALE
    if alone and image_shape == (GRID, GRID) and ((settings.scale == "auto" and square) or has_truth):
        return Placement((1.0, 1.0), None if pixel_size is None else pixel_size.mean_um, verbatim=True)
    if settings.scale == "fit" or (settings.scale == "auto" and pixel_size is None):
        return _fit(region, pixel_size)
    if pixel_size is None:
        raise CellError(
            "the pixel size is unknown, so the cell cannot be scaled physically; give --pixel-size in "
            "micrometres, or --scale fit."
        )
    return _physical(region, pixel_size, settings.grid_voxel_size_um)


def _fit(region: Region, pixel_size: PixelSize | None) -> Placement:
    y_um, x_um = (1.0, 1.0) if pixel_size is None else (pixel_size.y_um, pixel_size.x_um)
    y0, x0, y1, x1 = region.bounding_box
    diameter = math.sqrt(4 / math.pi * region.area * y_um * x_um)
    longest = max((y1 - y0) * y_um, (x1 - x0) * x_um)
    voxel = max(diameter / TRAINING_DIAMETER, longest / (GRID - 2 * MARGIN))
    return Placement((y_um / voxel, x_um / voxel), None if pixel_size is None else voxel)


def _physical(region: Region, pixel_size: PixelSize, voxel_um: float) -> Placement:
    scale = tuple(
        1.0 if abs(side / voxel_um - 1) < _EQUAL_SCALE else side / voxel_um
        for side in (pixel_size.y_um, pixel_size.x_um)
    )
    y0, x0, y1, x1 = region.bounding_box
    sides_um = ((y1 - y0) * pixel_size.y_um, (x1 - x0) * pixel_size.x_um)
    field_um = (GRID - 2 * MARGIN) * voxel_um
    if max(sides_um) > field_um * (1 + _EQUAL_SCALE):
        raise CellError(
            f"the cell is {sides_um[1]:.1f} x {sides_um[0]:.1f} um (pixel size {pixel_size.x_um:.4g} um from "
            f"{pixel_size.source}), the field of {GRID} voxels holds {field_um:.1f} um; check the "
            "pixel size or use --scale fit."
        )
    return Placement((scale[0], scale[1]), voxel_um)


def crop_region(
    image: NDArray, labels: NDArray, region: Region, placement: Placement
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Cut a region out and bring it onto the grid.

    Parameters
    ----------
    image
        (Y, X) intensities.
    labels
        (Y, X) labels, 0 outside the cells.
    region
        The cell to cut out; its surroundings stay in the image, not in the mask.
    placement
        From :func:`place_region`.

    Returns
    -------
    image
        (64, 64) float32 in [0, 1], see :func:`normalise`.
    mask
        (64, 64) bool.

    Raises
    ------
    CellError
        If the crop holds NaN or infinite values, is flat, or the cell vanishes on the grid.
    """
    if placement.verbatim:
        crop, mask = image.astype(np.float64), labels == region.label
        _check_finite(crop)
    else:
        crop, mask = _resample(image, labels, region, placement.scale)
    if not mask.any():
        raise CellError("the cell is too thin or too small to be seen on the grid of 64 voxels.")
    return normalise(crop, mask), mask


def normalise(crop: NDArray, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Scale intensities to [0, 1], for training cells and new ones alike.

    0 is the 1st percentile of the whole crop (the ground), 1 the 99.5th of the pixels inside the mask, so
    that neither hot pixels nor brighter neighbours decide; what lies beyond is clipped.

    Parameters
    ----------
    crop
        (64, 64) finite intensities.
    mask
        (64, 64) bool, not empty.

    Returns
    -------
    ndarray
        (64, 64) float32.

    Raises
    ------
    CellError
        If the image is flat there.
    """
    low = float(np.percentile(crop, LOW_PERCENTILE))
    high = float(np.percentile(crop[mask], HIGH_PERCENTILE))
    if not high - low > 1e-6 * max(abs(low), abs(high)):
        raise CellError(f"the image has one intensity ({high:.4g}) in and around the cell.")
    return np.clip((crop - low) / (high - low), 0, 1).astype(np.float32)


def _resample(
    image: NDArray, labels: NDArray, region: Region, scale: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    starts = [_grid_start(region, axis, scale[axis]) for axis in (0, 1)]
    sigmas = [max((1 / s - 1) / 2, 0.0) for s in scale]  # anti-aliasing, as skimage.transform.resize
    reach = [
        (math.floor(start) - pad, math.ceil(start + (GRID - 1) / s) + pad + 1)
        for start, s, pad in zip(starts, scale, (math.ceil(4 * s) + 3 for s in sigmas), strict=True)
    ]
    inside = tuple(slice(max(lo, 0), min(hi, n)) for (lo, hi), n in zip(reach, image.shape, strict=True))
    around = [(s.start - lo, hi - s.stop) for (lo, hi), s in zip(reach, inside, strict=True)]
    seen, ground = image[inside].astype(np.float64), labels[inside] == 0
    _check_finite(seen)
    fill = float(np.median(seen[ground])) if ground.any() else float(np.percentile(seen, 5))
    pixels = np.pad(seen, around, constant_values=fill)
    cell = np.pad(labels[inside] == region.label, around)
    offset = [start - lo for start, (lo, _) in zip(starts, reach, strict=True)]
    if scale == (1.0, 1.0):
        (y, x) = (round(o) for o in offset)
        return pixels[y : y + GRID, x : x + GRID], cell[y : y + GRID, x : x + GRID]
    return _sample_image(pixels, offset, scale, sigmas), _sample_mask(cell, offset, scale, sigmas)


def _grid_start(region: Region, axis: int, scale: float) -> float:
    """Pixel coordinate under grid voxel 0 when the bounding box is centred; whole where nothing is scaled."""
    low, high = region.bounding_box[axis], region.bounding_box[axis + 2]
    if scale == 1.0:
        return float((low + high) // 2 - GRID // 2)
    return (low + high) / 2 - 0.5 - (GRID - 1) / 2 / scale


def _sample_image(
    pixels: NDArray[np.float64], offset: list[float], scale: tuple[float, float], sigmas: list[float]
) -> NDArray[np.float64]:
    smooth = ndimage.gaussian_filter(pixels, sigmas, mode="nearest") if any(sigmas) else pixels
    order = 1 if min(scale) <= 1 else 3
    # A matrix, since scipy before 1.16 warns of a list of scales.
    sampled = ndimage.affine_transform(
        smooth, np.diag([1 / s for s in scale]), offset, (GRID, GRID), order=order, mode="nearest"
    )
    return np.clip(sampled, smooth.min(), smooth.max())  # cubic splines overshoot at edges


def _sample_mask(
    cell: NDArray[np.bool_], offset: list[float], scale: tuple[float, float], sigmas: list[float]
) -> NDArray[np.bool_]:
    """Take the outline at one half of the smoothed mask, so that enlarged pixels leave no stairs."""
    smooth = ndimage.gaussian_filter(
        cell.astype(np.float32), [max(s, _OUTLINE_SMOOTHING_PIXELS) for s in sigmas], mode="constant"
    )
    step = np.diag([1 / s for s in scale])
    sampled = ndimage.affine_transform(smooth, step, offset, (GRID, GRID), order=1)
    return sampled >= 0.5


def _check_finite(pixels: NDArray) -> None:
    bad = pixels.size - np.count_nonzero(np.isfinite(pixels))
    if bad:
        raise CellError(f"the image holds {bad} NaN or infinite pixel(s) in and around the cell.")
