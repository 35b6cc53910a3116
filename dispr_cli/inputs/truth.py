"""The 3D ground truth of a cell: a file of ``obj/``, or a stack on any grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import GRID
from dispr_cli.errors import InputError
from dispr_cli.inputs.images import read_stack, read_volume

MOST_VOXELS = 512**3
"""Truths of more voxels are refused before they are decoded."""


@dataclass(frozen=True)
class TruthVolume:
    """A ground truth as its file has it.

    Attributes
    ----------
    occupancy
        (Z, Y, X) uint8, foreground > 127; the grid is the file's own.
    voxel_size_um
        Sides of a voxel (z, y, x) in micrometres; None unless the file gives all three.
    of_store
        Whether it comes from a store, and so lies on the grid of the reconstructions and not on an image's.
    """

    occupancy: NDArray[np.uint8]
    voxel_size_um: tuple[float, float, float] | None = None
    of_store: bool = False


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
    return _occupancy(read_volume(path, (GRID, GRID, GRID)), path)


def read_truth_volume(path: Path) -> TruthVolume:
    """Read a 3D segmentation on whatever grid it has.

    Parameters
    ----------
    path
        A TIFF stack (OME and ImageJ voxel sizes are understood) or a NumPy array (``.npy``), axes z, y, x and
        values as for :func:`read_truth`.

    Returns
    -------
    TruthVolume
        Occupancy and voxel size.

    Raises
    ------
    InputError
        If the file cannot be read, has other axes, is too large, or holds no cell.
    """
    voxels, voxel_size_um = read_voxels(path)
    return TruthVolume(_occupancy(voxels, path), voxel_size_um)


def read_voxels(path: Path, most_axes: int = 3) -> tuple[NDArray[Any], tuple[float, float, float] | None]:
    """Read a volume as its file has it: a TIFF stack, or a NumPy array (``.npy``).

    Parameters
    ----------
    path
        The file.
    most_axes
        4 takes NumPy arrays of several volumes, (sample, z, y, x), too.

    Returns
    -------
    ndarray
        (Z, Y, X) in the file's own kind of number.
    tuple
        Sides of a voxel (z, y, x) in micrometres; None unless the file gives all three.

    Raises
    ------
    InputError
        If the file cannot be read, has other axes, or is too large.
    """
    if path.suffix.lower() == ".npy":
        return _read_npy(path, most_axes), None
    return read_stack(path, MOST_VOXELS)


def _read_npy(path: Path, most_axes: int) -> NDArray[Any]:
    try:
        voxels = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header makes NumPy's reader fail in many ways
        words = " ".join(str(error).replace(str(path), "").split())[:120]
        raise InputError(f"{path}: the NumPy array cannot be read ({words}); save it again.") from error
    if not isinstance(voxels, np.ndarray) or not 3 <= voxels.ndim <= most_axes:
        found = getattr(voxels, "shape", "several arrays")
        raise InputError(f"{path}: holds {found}, expected an array of three axes (z, y, x).")
    if math.prod(voxels.shape) > MOST_VOXELS:
        raise InputError(f"{path}: {voxels.shape} is more than {MOST_VOXELS:,} voxels; crop it.")
    return np.array(voxels)


def _occupancy(voxels: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    if voxels.dtype.kind not in "biuf" or not np.isfinite(voxels).all() or voxels.min(initial=0) < 0:
        raise InputError(f"{path}: holds negative, NaN or complex values, expected 0 outside the cell.")
    inside = voxels.max(initial=0)
    if not inside:
        raise InputError(f"{path}: the ground truth is empty (all values are 0), so there is no cell in it.")
    if voxels.dtype == np.uint8 and inside == 255:
        return voxels
    return np.rint(voxels / np.float64(inside) * 255).astype(np.uint8)
