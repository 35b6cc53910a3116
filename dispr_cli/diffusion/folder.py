"""Training cells from a folder with ground truth (``image/``, ``mask/``, ``obj/``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dispr_cli.diffusion.dataset import TrainingCells, pack_cell
from dispr_cli.errors import DisprError, InputError
from dispr_cli.inputs.cell import Cell
from dispr_cli.inputs.plan import CellRef, plan_cells, read_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.inputs.truth import read_truth


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
    settings = settings or InputSettings()
    plan = plan_cells(folder, settings)
    names, packed, sizes = [], [], []
    for index, cell in read_cells(plan.cells, settings):
        try:
            if not isinstance(cell, Cell):
                raise cell
            packed.append(pack_cell(cell.image, cell.mask, truth_of(cell)))
            names.append(cell.name)
            sizes.append(_grid_of(plan.cells[index], settings))
        except DisprError as error:
            skipped(plan.cells[index].name, error)
    if not names:
        raise InputError(
            f"{folder}: none of its {len(plan.cells)} cells has a ground truth; training needs a folder obj/ "
            "beside image/ and mask/ with a 64 x 64 x 64 volume of the same name for each cell."
        )
    distance, outline, image = (np.stack(arrays) for arrays in zip(*packed, strict=True))
    return TrainingCells(tuple(names), distance, outline, image, tuple(sizes))


def _grid_of(ref: CellRef, settings: InputSettings) -> float | None:
    """Voxel size that lays this cell on the grid where it lay in the training."""
    # A cell that was scaled into the field has a voxel size of its own, and will again.
    known = ref.voxel_size_um is not None
    return settings.grid_voxel_size_um if known and ref.scaled == "fit" else ref.voxel_size_um


def truth_of(cell: Cell) -> NDArray[np.uint8]:
    """Read the ground-truth occupancy of a cell, (64, 64, 64) uint8.

    Raises
    ------
    InputError
        If it is missing, damaged, of another shape, or empty.
    """
    if cell.truth is None:
        raise InputError(f"{cell.source}: has no volume of this name in obj/, which training needs.")
    return read_truth(cell.truth)
