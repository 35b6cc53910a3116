"""A ground truth on any grid, brought onto the grid of the reconstructions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dispr_cli.config import FOREGROUND, GRID
from dispr_cli.errors import CellError
from dispr_cli.inputs.crop_window import EQUAL_SCALE, centre_of_box, equal_or
from dispr_cli.inputs.truth import TruthVolume

MOST_BEYOND = 0.01
"""A truth of which a larger share lies beyond the grid is another shape there."""

_MIDDLE = (GRID - 1) / 2

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class CropSource:
    """Where a cell was cut out, to lay a truth with the same planes beside it.

    Attributes
    ----------
    image_shape
        (height, width) of the image.
    bounding_box
        (y0, x0, y1, x1) of the cell in its pixels, half open.
    """

    image_shape: tuple[int, int]
    bounding_box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class TruthPlacement:
    """How a truth lies on the grid.

    Attributes
    ----------
    scale
        Grid voxels per voxel of the truth along (z, y, x).
    centre
        The coordinate (z, y, x) in the truth that comes to the centre of the grid.
    """

    scale: Triple
    centre: Triple


def is_on_grid(truth: TruthVolume, voxel_size_um: float | None) -> bool:
    """Whether a truth can be compared as it stands: 64³ voxels, of the grid's size where both are known."""
    if truth.occupancy.shape != (GRID, GRID, GRID):
        return False
    known = truth.voxel_size_um is not None and voxel_size_um is not None
    return not known or _ratios(truth, voxel_size_um) == (1.0, 1.0, 1.0)


def refuse_ambiguous(truth: TruthVolume, scaled: str | None, image_shape: tuple[int, int] | None) -> None:
    """Refuse a cube of unknown voxel size that may lie on the image or on the grid, where these differ.

    Parameters
    ----------
    truth
        The truth.
    scaled
        How the cell was laid on the grid, see :data:`dispr_cli.inputs.crops.Scaled`.
    image_shape
        (height, width) of the image it was cut from; None if that is not known.

    Raises
    ------
    CellError
        If it is such a cube.
    """
    resampled = scaled in ("physical", "fit") and image_shape == (GRID, GRID)
    cube = truth.occupancy.shape == (GRID,) * 3
    if resampled and cube and truth.voxel_size_um is None and not truth.of_store:
        raise CellError(
            f"the image of {GRID} x {GRID} pixels was resampled, and the ground truth of {GRID} x {GRID} x "
            f"{GRID} voxels may lie on the image's pixels or on the grid; give --truth-voxel-size."
        )


def place_truth(
    truth: TruthVolume,
    voxel_size_um: float | None,
    source: CropSource | None = None,
    grid_option: str = "--voxel-size",
) -> TruthPlacement:
    """Decide how a truth lies on the grid of a cell.

    The scale follows from the voxel sizes; where one of them is unknown, a cube is taken to cover the same
    field as the grid. The centres coincide; where the truth's planes have the size of the image that the cell
    was cut from, the centre of the cell's bounding box comes to the grid's.

    Parameters
    ----------
    truth
        The truth.
    voxel_size_um
        Side of the grid's voxels in micrometres; None if unknown.
    source
        Where the cell was cut out; None if that is not known.
    grid_option
        With what the user can say the voxel size of the grid.

    Returns
    -------
    TruthPlacement
        Scale and centre.

    Raises
    ------
    CellError
        If the scale cannot be known.
    """
    depth, height, width = truth.occupancy.shape
    scale = _scale(truth, voxel_size_um, grid_option)
    middle_z, middle_y, middle_x = (depth - 1) / 2, (height - 1) / 2, (width - 1) / 2
    if source is None or source.image_shape != (height, width):
        return TruthPlacement(scale, (middle_z, middle_y, middle_x))
    taken_as_it_stands = (height, width) == (GRID, GRID) and scale[1:] == (1.0, 1.0)
    if taken_as_it_stands:
        return TruthPlacement(scale, (middle_z, middle_y, middle_x))
    if truth.voxel_size_um is None or voxel_size_um is None:
        raise CellError(
            "the ground truth has the planes of the whole image, and its voxel size or the cell's is "
            "unknown; read the images with --pixel-size and give --truth-voxel-size."
        )
    (y0, x0, y1, x1), (_, scale_y, scale_x) = source.bounding_box, scale
    return TruthPlacement(scale, (middle_z, centre_of_box(y0, y1, scale_y), centre_of_box(x0, x1, scale_x)))


def onto_grid(truth: TruthVolume, placement: TruthPlacement) -> tuple[NDArray[np.uint8], float]:
    """Resample a truth onto the grid, linearly, smoothed first where the grid is coarser.

    Parameters
    ----------
    truth
        The truth on its own grid.
    placement
        From :func:`place_truth`.

    Returns
    -------
    ndarray
        (64, 64, 64) uint8 occupancy.
    float
        Share of the truth's voxels that lie beyond the grid.

    Raises
    ------
    CellError
        If nothing of the truth is left on the grid.
    """
    step = 1 / np.asarray(placement.scale)
    first = np.asarray(placement.centre) - _MIDDLE * step
    values = truth.occupancy.astype(np.float32)
    # Anti-aliasing as in skimage.transform.resize.
    values = ndimage.gaussian_filter(values, np.maximum((step - 1) / 2, 0), mode="constant")
    grid = ndimage.affine_transform(values, np.diag(step), first, (GRID,) * 3, order=1, mode="constant")
    occupancy = np.rint(grid).astype(np.uint8)
    if not (occupancy >= FOREGROUND).any():
        raise CellError("nothing of the ground truth lies on the grid of 64 voxels; check its voxel size.")
    return occupancy, _share_beyond(truth.occupancy, first, step)


def _share_beyond(
    occupancy: NDArray[np.uint8], first: NDArray[np.float64], step: NDArray[np.float64]
) -> float:
    inside = occupancy >= FOREGROUND
    kept = tuple(
        slice(max(int(np.ceil(start - side / 2)), 0), max(int(np.floor(start + (GRID - 0.5) * side)) + 1, 0))
        for start, side in zip(first, step, strict=True)
    )
    return 1 - np.count_nonzero(inside[kept]) / np.count_nonzero(inside)


def _scale(truth: TruthVolume, voxel_size_um: float | None, grid_option: str) -> Triple:
    if truth.voxel_size_um is not None and voxel_size_um is not None:
        return _ratios(truth, voxel_size_um)
    shape, sides = truth.occupancy.shape, truth.voxel_size_um or (1.0, 1.0, 1.0)
    if len(set(shape)) == 1 and max(sides) <= min(sides) * (1 + EQUAL_SCALE):
        return (GRID / shape[0],) * 3
    words = " x ".join(map(str, shape))
    whose = "its own voxel size" if truth.voxel_size_um is None else "the voxel size of the reconstruction"
    option = "--truth-voxel-size" if truth.voxel_size_um is None else grid_option
    raise CellError(
        f"the ground truth has {words} voxels and not 64 x 64 x 64, and {whose} is unknown; give {option}."
    )


def _ratios(truth: TruthVolume, voxel_size_um: float | None) -> Triple:
    """Grid voxels per voxel of the truth."""
    z, y, x = truth.voxel_size_um or (1.0, 1.0, 1.0)
    side = voxel_size_um or 1.0
    return equal_or(z / side), equal_or(y / side), equal_or(x / side)
