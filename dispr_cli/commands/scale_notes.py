"""What a person has to know of how cells were scaled before comparing their sizes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class Scaled(Protocol):
    """A planned cell, or the row of a finished one."""

    @property
    def scaled(self) -> str | None:
        """How it was laid on the grid: ``verbatim``, ``physical`` or ``fit``."""

    @property
    def voxel_size_um(self) -> float | None:
        """Side of its voxels; None if unknown."""


@dataclass(frozen=True, slots=True)
class ScaledCells:
    """How many cells were scaled how.

    Attributes
    ----------
    cells
        All of them.
    of_unknown_size
        Those that were scaled to one size because their pixel size is unknown.
    fitted
        Those that were scaled to a voxel size of their own, which is known.
    """

    cells: int
    of_unknown_size: int
    fitted: int

    def notes(self, chosen: str) -> list[str]:
        """Return one sentence for each thing to know.

        Parameters
        ----------
        chosen
            ``--scale`` of the run.
        """
        notes = []
        if self.of_unknown_size:
            every = self.of_unknown_size == self.cells
            which = "every cell was" if every else f"{self.of_unknown_size} of {self.cells} cells were"
            notes.append(
                f"pixel size unknown: {which} scaled to the same size, so volumes cannot be compared between "
                "cells; give --pixel-size"
            )
        if self.fitted and chosen == "auto":
            which = "1 cell is" if self.fitted == 1 else f"{self.fitted} cells are"
            notes.append(
                f"larger than the field: {which} scaled down to fit; their own voxel sizes are in the table "
                "(scaled: fit). Check the pixel size if that is unexpected"
            )
        return notes


def count_scaled(cells: Iterable[Scaled]) -> ScaledCells:
    """Count cells by how they were scaled."""
    count = unknown = fitted = 0
    for cell in cells:
        count += 1
        unknown += cell.scaled == "fit" and cell.voxel_size_um is None
        fitted += cell.scaled == "fit" and cell.voxel_size_um is not None
    return ScaledCells(count, unknown, fitted)
