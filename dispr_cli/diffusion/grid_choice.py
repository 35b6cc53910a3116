"""The voxel size of a reconstruction's grid: what the weights were trained on, unless somebody says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dispr_cli.diffusion.trained_grid import TrainedGrid, grid_of_weights
from dispr_cli.inputs.plan import CellRef
from dispr_cli.inputs.settings import GRID_VOXEL_SIZE_UM


@dataclass(frozen=True, slots=True)
class GridChoice:
    """The voxel size that was chosen, and why.

    Attributes
    ----------
    voxel_size_um
        Side of the grid's voxels in micrometres.
    asked
        Whether the user chose it.
    trained
        What the weights record; None if nothing, as the shipped ones, which were trained on the default.
    """

    voxel_size_um: float
    asked: bool = False
    trained: TrainedGrid | None = None

    def sentence_about(self, cells: Iterable[CellRef]) -> str | None:
        """Say what a user has to know of it; None if cells are read as ever, or lie on no known grid."""
        if self.trained is None or all(cell.pixel_size is None for cell in cells):
            return None
        trained, grid = self.trained.describe(), f"cells are read at {self.voxel_size_um:.4g} um"
        if self.asked:
            return f"{grid}, as --grid-voxel-size says; the weights were trained on {trained}"
        if self.trained.voxel_size_um is not None:
            return f"{grid}, the voxel size that the weights were trained on (--grid-voxel-size: another)"
        return (
            f"the weights were trained on {trained}: {grid}, which may not be theirs; say --grid-voxel-size"
        )


def choose_grid(weights: Path | None, asked_um: float | None) -> GridChoice:
    """Choose the voxel size of the grid that cells are read onto.

    Parameters
    ----------
    weights
        A file, or a folder of several; None for the shipped ones.
    asked_um
        What the user says; None leaves it to the weights.
    """
    trained = None if weights is None else grid_of_weights(weights)
    if asked_um is not None:
        return GridChoice(asked_um, True, trained)
    known = None if trained is None else trained.voxel_size_um
    return GridChoice(GRID_VOXEL_SIZE_UM if known is None else known, False, trained)
