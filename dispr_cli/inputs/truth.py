"""The 3D ground truth of a cell, where the input folder has one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import InputError
from dispr_cli.inputs.cell import GRID
from dispr_cli.inputs.images import read_volume


def read_truth(path: Path) -> NDArray[np.uint8]:
    """Read a 3D segmentation on the grid, such as the files of an ``obj/`` folder.

    Parameters
    ----------
    path
        A TIFF file of (64, 64, 64), axes z, y, x: 0 outside and one value inside (1, 255 or any other), with
        or without values in between along the surface.

    Returns
    -------
    ndarray
        (64, 64, 64) uint8 occupancy, scaled to 0..255; foreground is > 127.

    Raises
    ------
    InputError
        If the file cannot be read, has another shape, or holds no cell.
    """
    voxels = read_volume(path, (GRID, GRID, GRID))
    if voxels.dtype.kind not in "biuf" or not np.isfinite(voxels).all() or voxels.min() < 0:
        raise InputError(f"{path}: holds negative, NaN or complex values, expected 0 outside the cell.")
    inside = voxels.max()
    if not inside:
        raise InputError(f"{path}: the ground truth is empty (all values are 0), so there is no cell in it.")
    if voxels.dtype == np.uint8 and inside == 255:
        return voxels
    return np.rint(voxels / np.float64(inside) * 255).astype(np.uint8)
