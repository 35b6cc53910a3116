"""Where a crop lies in its image, its ground truth with it, and which pixels it is computed from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dispr_cli.config import GRID
from dispr_cli.inputs.labels import Region

EQUAL_SCALE = 0.01
"""Sides that differ by less than this share are equal, so that nothing is resampled for nothing."""


def equal_or(ratio: float) -> float:
    """Return 1 for the ratio of two sides that are equal, see :data:`EQUAL_SCALE`, and others as they are."""
    return 1.0 if abs(ratio - 1) < EQUAL_SCALE else ratio


def centre_of_box(low: int, high: int, scale: float) -> float:
    """Pixel coordinate that comes to the centre of the grid, for the bounds of a cell along one axis.

    Parameters
    ----------
    low, high
        First pixel of the cell, and the first behind it.
    scale
        Grid voxels per pixel; where nothing is scaled, pixels are moved by whole steps.
    """
    return (low + high) // 2 - 0.5 if scale == 1.0 else (low + high) / 2 - 0.5


@dataclass(frozen=True, slots=True)
class Window:
    """The pixels that a crop is computed from.

    Attributes
    ----------
    inside
        Those that the image has, along (y, x).
    around
        How many are missing before and after them.
    offset
        Coordinate under grid voxel 0, from the first pixel of the window.
    sigmas
        Of the smoothing before pixels are skipped.
    """

    inside: tuple[slice, slice]
    around: list[tuple[int, int]]
    offset: list[float]
    sigmas: list[float]

    @classmethod
    def of(cls, region: Region, scale: tuple[float, float], shape: tuple[int, ...]) -> Window:
        """Return the window of a region at a scale, grid voxels per pixel, in an image of a shape, (Y, X)."""
        starts = [_grid_start(region, axis, scale[axis]) for axis in (0, 1)]
        sigmas = [max((1 / s - 1) / 2, 0.0) for s in scale]  # anti-aliasing, as skimage.transform.resize
        reach = [
            (math.floor(start) - pad, math.ceil(start + (GRID - 1) / s) + pad + 1)
            for start, s, pad in zip(starts, scale, (math.ceil(4 * s) + 3 for s in sigmas), strict=True)
        ]
        y, x = (slice(max(lo, 0), min(hi, n)) for (lo, hi), n in zip(reach, shape, strict=True))
        around = [(s.start - lo, hi - s.stop) for (lo, hi), s in zip(reach, (y, x), strict=True)]
        return cls((y, x), around, [start - lo for start, (lo, _) in zip(starts, reach, strict=True)], sigmas)


def _grid_start(region: Region, axis: int, scale: float) -> float:
    """Pixel coordinate under grid voxel 0 when the bounding box is centred."""
    low, high = region.bounding_box[axis], region.bounding_box[axis + 2]
    return centre_of_box(low, high, scale) - (GRID - 1) / 2 / scale
