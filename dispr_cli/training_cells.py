"""The cells of a training: which are learned from, which are held out, and what is said of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import DisprError, InputError
from dispr_cli.study.folds import hold_out

if TYPE_CHECKING:
    from dispr_cli.diffusion.dataset import TrainingCells
    from dispr_cli.diffusion.folder import TrainingInput

SHOWN = 5
"""Cells that are left out are named up to here, then counted."""


@dataclass(frozen=True, slots=True)
class SplitCells:
    """Cells to train on.

    Attributes
    ----------
    learned, held_out
        Cells to learn from, and those kept out of the training.
    held_in
        The folder that the user keeps held-out cells in; empty if they are a share of all.
    """

    learned: TrainingCells
    held_out: TrainingCells | None
    held_in: str = ""


def cells_to_train_on(
    data: Path,
    reading: TrainingInput | None,
    fraction: float,
    say: Callable[[str], None],
) -> SplitCells:
    """Read the cells of a folder and hold some out: those of ``test/``, else a share of all.

    Parameters
    ----------
    data
        The folder.
    reading
        How it is read; the defaults if None.
    fraction
        Share to hold out where the folder has no ``train/`` and ``test/``.
    say
        Told what a user has to know: what is left out, what is held out, on which grid the cells lie.

    Raises
    ------
    InputError
        If there is no cell to learn from.
    """
    from dispr_cli.diffusion.folder import read_training_folder
    from dispr_cli.diffusion.trained_grid import TrainedGrid
    from dispr_cli.inputs.truth_agreement import USUAL_IOU

    left_out = _LeftOut(say)
    try:
        found = read_training_folder(data, reading, left_out.add)
    finally:
        left_out.finish()
    cells = found.cells
    if (grid := TrainedGrid.of(cells.voxel_sizes_um)) is not None:
        say(grid.consequence())
    if found.agreement < USUAL_IOU:
        say(
            f"ground truths and masks overlap with IoU {found.agreement:.2f} in the focal plane (median; "
            f"above {USUAL_IOU:g} where both are of one segmentation). If they should be the same, check the "
            "axes of the volumes, their scale and where the cells lie in them."
        )
    if found.of_test is None:
        held = split_held_out(cells.names, fraction)
    else:
        held = found.of_test
        say(f"the {int(held.sum())} cells of test/ are held out, whatever --validation-fraction says")
    if held.all():
        raise InputError(f"{data}: no cell is left to learn from.")
    learned = cells.select(np.flatnonzero(~held))
    held_out = cells.select(np.flatnonzero(held)) if held.any() else None
    return SplitCells(learned, held_out, "" if found.of_test is None else "test/")


class _LeftOut:
    """Names a few cells that are left out, and counts the others."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._count = say, 0

    def add(self, name: str, error: DisprError) -> None:
        self._count += 1
        if self._count <= SHOWN:
            self._say(f"Left out: {name}: {error}")

    def finish(self) -> None:
        if self._count > SHOWN:
            self._say(f"... and {self._count - SHOWN} more: {self._count} cells are left out")


def split_held_out(names: Sequence[str], fraction: float) -> NDArray[np.bool_]:
    """Choose the cells held out of a training, by cell and stratified by class; (len(names),) bool.

    The nearest whole number of cells to that share, at least one and not all; none of fewer than four.
    """
    if fraction <= 0.0 or len(names) < 4:
        return np.zeros(len(names), np.bool_)
    count = min(max(1, math.floor(fraction * len(names) + 0.5)), len(names) - 1)
    return hold_out(names, count)
