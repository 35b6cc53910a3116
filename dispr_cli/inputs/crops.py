"""One region of an image becomes a cell on the network's 64 x 64 grid."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dispr_cli.config import GRID
from dispr_cli.errors import CellError
from dispr_cli.inputs.crop_window import EQUAL_SCALE, Window, equal_or
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

Scaled = Literal["verbatim", "physical", "fit"]
"""The image is the grid and taken as it stands; one voxel size for all cells; one size for all cells."""


@dataclass(frozen=True, slots=True)
class Placement:
    """How a region lies on the grid.

    Attributes
    ----------
    scale
        Grid voxels per pixel along (y, x).
    voxel_size_um
        Side of a voxel in micrometres; None if unknown.
    scaled
        Which of the three ways was taken.
    """

    scale: tuple[float, float]
    voxel_size_um: float | None
    scaled: Scaled

    @property
    def voxel_size_px(self) -> float:
        """Side of a voxel in pixels of the image; the geometric mean along y and x where these differ."""
        return 1.0 / math.sqrt(self.scale[0] * self.scale[1])


def place_region(
    region: Region,
    alone: bool,
    image_shape: tuple[int, int],
    pixel_size: PixelSize | None,
    settings: InputSettings,
    has_truth: bool = False,
) -> Placement:
    """Decide the scale of a crop.

    A cell that is larger than the field is scaled to fit it under ``auto``: its own voxel size is known.

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
        If the cell has to be physical and is larger than the field, or the pixel size is unknown.
    """
    on_grid = settings.scale == "auto" and _is_grids(pixel_size, settings.grid_voxel_size_um)
    if alone and image_shape == (GRID, GRID) and (on_grid or has_truth):
        return Placement((1.0, 1.0), None if pixel_size is None else pixel_size.mean_um, "verbatim")
    if settings.scale == "fit" or (settings.scale == "auto" and pixel_size is None):
        return _fit(region, pixel_size)
    if pixel_size is None:
        raise CellError(
            "the pixel size is unknown, so the cell cannot be scaled physically; give --pixel-size in "
            "micrometres, or --scale fit."
        )
    if settings.scale == "auto" and _is_beyond(region, pixel_size, settings.grid_voxel_size_um):
        return _fit(region, pixel_size)
    return _physical(region, pixel_size, settings.grid_voxel_size_um)


def _is_grids(pixel_size: PixelSize | None, voxel_um: float) -> bool:
    """Whether pixels are, as far as is known, voxels of the grid."""
    sides = () if pixel_size is None else (pixel_size.y_um, pixel_size.x_um)
    return all(equal_or(side / voxel_um) == 1.0 for side in sides)


def _sides_um(region: Region, pixel_size: PixelSize) -> tuple[float, float]:
    y0, x0, y1, x1 = region.bounding_box
    return (y1 - y0) * pixel_size.y_um, (x1 - x0) * pixel_size.x_um


def _is_beyond(region: Region, pixel_size: PixelSize, voxel_um: float) -> bool:
    """Whether a cell is larger than the field at this voxel size."""
    return max(_sides_um(region, pixel_size)) > (GRID - 2 * MARGIN) * voxel_um * (1 + EQUAL_SCALE)


def _fit(region: Region, pixel_size: PixelSize | None) -> Placement:
    y_um, x_um = (1.0, 1.0) if pixel_size is None else (pixel_size.y_um, pixel_size.x_um)
    y0, x0, y1, x1 = region.bounding_box
    diameter = math.sqrt(4 / math.pi * region.area * y_um * x_um)
    longest = max((y1 - y0) * y_um, (x1 - x0) * x_um)
    voxel = max(diameter / TRAINING_DIAMETER, longest / (GRID - 2 * MARGIN))
    return Placement((y_um / voxel, x_um / voxel), None if pixel_size is None else voxel, "fit")


def _physical(region: Region, pixel_size: PixelSize, voxel_um: float) -> Placement:
    scale = (equal_or(pixel_size.y_um / voxel_um), equal_or(pixel_size.x_um / voxel_um))
    if _is_beyond(region, pixel_size, voxel_um):
        sides_um, field_um = _sides_um(region, pixel_size), (GRID - 2 * MARGIN) * voxel_um
        raise CellError(
            f"the cell is {sides_um[1]:.1f} x {sides_um[0]:.1f} um (pixel size {pixel_size.x_um:.4g} um from "
            f"{pixel_size.source}), the field of {GRID} voxels holds {field_um:.1f} um; check the "
            "pixel size or use --scale fit."
        )
    return Placement(scale, voxel_um, "physical")


def crop_region(
    image: NDArray[Any], labels: NDArray[np.integer[Any]], region: Region, placement: Placement
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
    if placement.scaled == "verbatim":
        crop, mask = image.astype(np.float64), labels == region.label
        _check_finite(crop)
    else:
        crop, mask = _resample(image, labels, region, placement.scale)
    if not mask.any():
        raise CellError("the cell is too thin or too small to be seen on the grid of 64 voxels.")
    return normalise(crop, mask), mask


def digest_of_crop(
    image: NDArray[Any], labels: NDArray[np.integer[Any]], region: Region, placement: Placement
) -> str:
    """Return a digest of all that decides a cell: the pixels around it as they were read, and its place.

    It does not depend on how pixels are resampled, so it is the same wherever the same file is read.

    Parameters
    ----------
    image, labels, region, placement
        As for :func:`crop_region`.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    fill = None
    if placement.scaled == "verbatim":
        seen, cells = image.astype(np.float64), labels
    else:
        window = Window.of(region, placement.scale, image.shape)
        # Only the window: an image may hold thousands of cells.
        seen, cells = image[window.inside].astype(np.float64), labels[window.inside]
        fill = _background(seen, cells) if np.any(window.around) else None
    content = hashlib.blake2b(digest_size=16)
    whole = [int(n) for n in (*image.shape, *region.bounding_box, region.label, *seen.shape)]
    facts = (whole, [float(s) for s in placement.scale], placement.voxel_size_um, placement.scaled, fill)
    content.update(repr(facts).encode())
    content.update(np.ascontiguousarray(seen).tobytes())
    content.update(np.packbits(cells == region.label).tobytes())
    return content.hexdigest()


def normalise(crop: NDArray[np.float64 | np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
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
    image: NDArray[Any], labels: NDArray[np.integer[Any]], region: Region, scale: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    window = Window.of(region, scale, image.shape)
    seen = image[window.inside].astype(np.float64)
    _check_finite(seen)
    pixels = np.pad(seen, window.around, constant_values=_background(seen, labels[window.inside]))
    cell = np.pad(labels[window.inside] == region.label, window.around)
    offset, sigmas = window.offset, window.sigmas
    if scale == (1.0, 1.0):
        (y, x) = (round(o) for o in offset)
        return pixels[y : y + GRID, x : x + GRID], cell[y : y + GRID, x : x + GRID]
    return _sample_image(pixels, offset, scale, sigmas), _sample_mask(cell, offset, scale, sigmas)


def _background(seen: NDArray[np.float64], labels: NDArray[np.integer[Any]]) -> float:
    """Return the intensity that stands beyond the border of an image."""
    ground = labels == 0
    return float(np.median(seen[ground])) if ground.any() else float(np.percentile(seen, 5))


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


def _check_finite(pixels: NDArray[np.float64]) -> None:
    bad = pixels.size - np.count_nonzero(np.isfinite(pixels))
    if bad:
        raise CellError(f"the image holds {bad} NaN or infinite pixel(s) in and around the cell.")
