"""How far one reconstructed volume lies from the truth: relative errors and overlaps.

An empty prediction is a failure and scores as one (overlap 0, relative error 1); an empty truth cannot be
compared with anything and raises CellError.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import CellError
from dispr_cli.shape.mesh import UNIT_VOXEL, VoxelSize, surface_area
from dispr_cli.shape.threshold import foreground


def relative_error(predicted: float, true: float) -> float:
    """Return |predicted - true| / |true|, the error of the DISPR paper's Fig. 4 (1 means 100 %)."""
    if true == 0:
        return 0.0 if predicted == 0 else float("inf")
    return abs(predicted - true) / abs(true)


def volume_error(prediction: NDArray[Any], truth: NDArray[Any]) -> float:
    """Compare the numbers of foreground voxels.

    Parameters
    ----------
    prediction, truth
        (Z, Y, X) volumes of one shape: uint8 grey values, float occupancy in [0, 1], or bool.

    Returns
    -------
    float
        Relative error; 1 for an empty prediction.

    Raises
    ------
    CellError
        If the shapes differ, a volume is not one of the three kinds, or the truth is empty.
    """
    inside, true_inside = foreground_pair(prediction, truth)
    return relative_error(int(inside.sum()), int(true_inside.sum()))


def surface_error(prediction: NDArray[Any], truth: NDArray[Any], voxel_size: VoxelSize = UNIT_VOXEL) -> float:
    """Compare the areas of the sub-voxel surfaces.

    Parameters
    ----------
    prediction, truth
        (Z, Y, X) volumes of one shape: uint8 grey values, float occupancy in [0, 1], or bool.
    voxel_size
        Voxel sides (z, y, x).

    Returns
    -------
    float
        Relative error; 1 for an empty prediction.

    Raises
    ------
    CellError
        As :func:`volume_error`.
    """
    foreground_pair(prediction, truth)
    return relative_error(surface_area(prediction, voxel_size), surface_area(truth, voxel_size))


def iou(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Divide the voxels in both volumes by the voxels in either (Jaccard index).

    Parameters
    ----------
    a, b
        Volumes (Z, Y, X) of one shape: uint8 grey values, float occupancy in [0, 1], or bool; ``b`` is the
        truth.

    Returns
    -------
    float
        1 for equal volumes, 0 without overlap or for an empty ``a``.

    Raises
    ------
    CellError
        If the shapes differ, a volume is not one of the three kinds, or ``b`` is empty.
    """
    return overlap_ratio(*foreground_pair(a, b))


def dice(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Divide twice the voxels in both volumes by the sum of their voxels: 2 IoU / (1 + IoU).

    Parameters, result and errors are those of :func:`iou`.
    """
    overlap = iou(a, b)
    return 2 * overlap / (1 + overlap)


def mirror_invariant_iou(prediction: NDArray[Any], truth: NDArray[Any]) -> float:
    """Overlap of the better of two: the prediction, and its mirror image about the grid's central slice.

    One image cannot always tell a cell from the same cell upside down; the gap to :func:`iou` shows how much
    of the error is that. Slice Z // 2 (where the image was taken) stays: z goes to 2 (Z // 2) - z.

    Parameters, result and errors are those of :func:`iou`.
    """
    inside, true_inside = foreground_pair(prediction, truth)
    return max(overlap_ratio(inside, true_inside), overlap_ratio(mirrored_in_z(inside), true_inside))


def slice_iou(prediction: NDArray[Any], truth: NDArray[Any]) -> float:
    """Overlap within the central slice Z // 2, which the input mask shows.

    Parameters
    ----------
    prediction, truth
        (Z, Y, X) volumes of one shape.

    Returns
    -------
    float
        As :func:`iou`; NaN where the truth has no voxel in that slice, so nothing was to be met.

    Raises
    ------
    CellError
        As :func:`iou`.
    """
    inside, true_inside = foreground_pair(prediction, truth)
    central = len(true_inside) // 2
    if not true_inside[central].any():
        return float("nan")
    return overlap_ratio(inside[central], true_inside[central])


def mirrored_in_z(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mirror about slice Z // 2; what has no partner within the grid becomes background."""
    depth = len(inside)
    centre = depth // 2
    mirrored = np.zeros_like(inside)
    lowest = max(2 * centre - (depth - 1), 0)
    mirrored[lowest:] = inside[lowest : 2 * centre - lowest + 1][::-1][: depth - lowest]
    return mirrored


def overlap_ratio(inside: NDArray[np.bool_], true_inside: NDArray[np.bool_]) -> float:
    """Return the IoU of two boolean arrays; two empty ones agree (1)."""
    both = int(np.count_nonzero(inside & true_inside))
    either = int(np.count_nonzero(inside | true_inside))
    return both / either if either else 1.0


def foreground_pair(
    prediction: NDArray[Any], truth: NDArray[Any]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Threshold both volumes at half occupancy and check that they can be compared.

    Raises
    ------
    CellError
        If the shapes differ, a volume is not one of the three kinds, or the truth is empty.
    """
    inside, true_inside = foreground(prediction), foreground(truth)
    if inside.shape != true_inside.shape:
        raise CellError(
            f"The reconstructed volume has shape {inside.shape} and the truth {true_inside.shape}; both "
            "must lie on one grid. Resample the truth first."
        )
    if not true_inside.any():
        raise CellError(
            "The truth has no voxel above half occupancy, so there is no cell to compare with. "
            "Leave this cell out or mend its file."
        )
    return inside, true_inside
