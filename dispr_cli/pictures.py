"""Pictures of a run: cells of a store beside their input, and the denoising steps of one cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dispr_cli.diffusion.folder import truth_of
from dispr_cli.diffusion.reconstruction import DiffusionMethod
from dispr_cli.errors import DisprError
from dispr_cli.inputs.cell import Cell
from dispr_cli.inputs.plan import Plan, read_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.report.montage import MontageRow, draw_montage
from dispr_cli.report.trajectory import draw_trajectory
from dispr_cli.volumes.store import VolumeStore

MOST_CELLS = 20


def draw_store(store: VolumeStore, plan: Plan, inputs: InputSettings, out: Path) -> Path:
    """Draw the first cells of a store beside the images they came from.

    Parameters
    ----------
    store
        With at least one cell that is done.
    plan
        The plan the store was made from.
    inputs
        How its cells are read.
    out
        PNG to write.
    """
    done = []
    for index, row in enumerate(store.cells):
        if row.is_done:
            done.append(index)
        if len(done) == MOST_CELLS:
            break
    rows = [
        MontageRow(cell.name, cell.image, cell.mask, store.read(index), cell.voxel_size_um, _truth(cell))
        for index, cell in read_cells(plan.cells, inputs, done)
        if isinstance(cell, Cell)
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    draw_montage(rows, out)
    return out


def draw_steps(method: DiffusionMethod, cell: Cell, seed: int, out: Path) -> Path:
    """Draw the denoising steps of one cell's first sample, as Fig. 1 of the DISPR paper does."""
    out.parent.mkdir(parents=True, exist_ok=True)
    draw_trajectory(method.trajectory(cell, seed), out, name=cell.name)
    return out


def _truth(cell: Cell) -> NDArray[np.uint8] | None:
    try:
        return truth_of(cell)
    except DisprError:
        return None
