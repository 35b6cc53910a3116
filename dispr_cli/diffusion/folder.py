"""Training cells from a folder with ground truth (``image/``, ``mask/``, ``obj/``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from dispr_cli.diffusion.dataset import TrainingCells, pack_cell
from dispr_cli.errors import CellError, DisprError, InputError
from dispr_cli.inputs.cell import GRID, Cell
from dispr_cli.inputs.plan import plan_cells, read_cells
from dispr_cli.inputs.settings import InputSettings


def read_training_cells(
    folder: Path,
    settings: InputSettings | None = None,
    skipped: Callable[[str, DisprError], None] = lambda name, error: None,
) -> TrainingCells:
    """Read every cell of a folder that has a ground truth.

    Parameters
    ----------
    folder
        With ``image/``, ``mask/`` and ``obj/``, equal names in all three.
    skipped
        Called with the name of a cell that cannot be used, and why.

    Raises
    ------
    InputError
        If no cell with a ground truth is left.
    """
    plan = plan_cells(folder, settings)
    names, packed = [], []
    for index, cell in read_cells(plan.cells, settings):
        try:
            if not isinstance(cell, Cell):
                raise cell
            packed.append(pack_cell(cell.image, cell.mask, read_truth(cell)))
            names.append(cell.name)
        except CellError as error:
            skipped(plan.cells[index].name, error)
    if not names:
        raise InputError(
            f"{folder}: none of its {len(plan.cells)} cells has a ground truth; training needs a folder obj/ "
            "beside image/ and mask/ with a 64 x 64 x 64 volume of the same name for each cell."
        )
    distance, outline, image = (np.stack(arrays) for arrays in zip(*packed, strict=True))
    return TrainingCells(tuple(names), distance, outline, image)


def read_truth(cell: Cell) -> NDArray[np.uint8]:
    """Ground-truth occupancy of a cell, (64, 64, 64) uint8.

    Raises
    ------
    CellError
        If it is missing, damaged, of another shape, or empty.
    """
    if cell.truth is None:
        raise CellError(f"{cell.name}: has no volume of this name in obj/.")
    try:
        volume = np.asarray(tifffile.imread(cell.truth))
    except Exception as error:
        raise CellError(f"{cell.truth}: cannot be read as a TIFF volume ({error}).") from error
    if volume.shape != (GRID, GRID, GRID):
        raise CellError(f"{cell.truth}: has shape {volume.shape}, expected ({GRID}, {GRID}, {GRID}).")
    if not np.isfinite(volume).all() or volume.max() <= 0:
        raise CellError(f"{cell.truth}: holds no foreground, or values that are not numbers.")
    if volume.dtype != np.uint8:
        volume = np.round(volume / volume.max() * 255.0).clip(0, 255).astype(np.uint8)
    elif volume.max() == 1:
        volume = volume * np.uint8(255)
    return volume
