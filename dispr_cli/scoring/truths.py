"""The ground truths of an evaluation, from a folder or a store, on the grid of each reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dispr_cli.config import FOREGROUND
from dispr_cli.errors import CellError, ConfigError, DisprError, StoreError
from dispr_cli.inputs.images import read_header
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.inputs.truth import TruthVolume, read_truth_volume
from dispr_cli.inputs.truth_folder import find_truths, truth_by_cell
from dispr_cli.inputs.truth_grid import (
    MOST_BEYOND,
    CropSource,
    is_on_grid,
    onto_grid,
    place_truth,
    refuse_ambiguous,
)
from dispr_cli.volumes.attributes import may_be_store
from dispr_cli.volumes.rows import CellRow
from dispr_cli.volumes.store import open_store

_CORNERS_TOO = np.ones((3, 3, 3), dtype=bool)


class Truths(Protocol):
    """Ground truths by the names of cells."""

    source: Path

    @property
    def names(self) -> list[str]:
        """Names of all truths."""

    def find(self, cells: Sequence[str]) -> tuple[set[str], list[str]]:
        """Return those of the cells that have a truth, and the names of truths that no cell has."""

    def read(self, cell: str) -> TruthVolume:
        """Read the truth of a cell that :meth:`find` found.

        Raises
        ------
        DisprError
            If it cannot be used.
        """


class FolderTruths:
    """Volumes in a folder, see :func:`~dispr_cli.inputs.truth_folder.find_truths`."""

    def __init__(self, source: Path, voxel_size_um: tuple[float, float, float] | None) -> None:
        self.source, self._voxel_size_um = source, voxel_size_um
        self._files = find_truths(source)
        self._by_cell: dict[str, Path] = {}

    @property
    def names(self) -> list[str]:
        """Names of all truths."""
        return list(self._files)

    def find(self, cells: Sequence[str]) -> tuple[set[str], list[str]]:
        """Return those of the cells that have a truth, and the names of truths that no cell has."""
        self._by_cell = truth_by_cell(self._files, list(cells))
        used = set(self._by_cell.values())
        return set(self._by_cell), [name for name, path in self._files.items() if path not in used]

    def read(self, cell: str) -> TruthVolume:
        """Read a file; the voxel size that the user gave wins over the file's."""
        truth = read_truth_volume(self._by_cell[cell])
        return truth if self._voxel_size_um is None else replace(truth, voxel_size_um=self._voxel_size_um)


class StoreTruths:
    """Another store with one volume for each cell."""

    def __init__(self, source: Path, voxel_size_um: tuple[float, float, float] | None) -> None:
        self.source, self._store, self._voxel_size_um = source, open_store(source), voxel_size_um
        if self._store.num_samples != 1:
            raise StoreError(
                f"{source} holds {self._store.num_samples} samples for each cell, a store of ground truths "
                "has one; export the shape that is meant and give its folder."
            )
        self._indices = {name: index for index, name in enumerate(self._store.cells.names)}

    @property
    def names(self) -> list[str]:
        """Names of all truths."""
        return list(self._indices)

    def find(self, cells: Sequence[str]) -> tuple[set[str], list[str]]:
        """Return those of the cells that have a truth, and the names of truths that no cell has."""
        found = self._indices.keys() & set(cells)
        return found, [name for name in self._indices if name not in found]

    def read(self, cell: str) -> TruthVolume:
        """Read a cell's only sample."""
        index = self._indices[cell]
        occupancy = self._store.read(index, 0)
        if not (occupancy >= FOREGROUND).any():
            raise CellError(f"{self.source}: the ground truth of cell {cell!r} is empty.")
        size = self._store.cells[index].voxel_size_um or self._store.voxel_size_um
        sides = self._voxel_size_um or (None if size is None else (size,) * 3)
        return TruthVolume(occupancy, sides, of_store=True)


def open_truths(source: Path, voxel_size_um: tuple[float, float, float] | None = None) -> Truths:
    """Open a folder or a store of ground truths.

    Parameters
    ----------
    source
        A folder with ``obj/``, a folder of volumes named like the cells, or a store with one sample a cell.
    voxel_size_um
        Sides (z, y, x) of the truths' voxels, where the user knows better than the files.

    Raises
    ------
    InputError, StoreError
        If there is nothing of the kind.
    ConfigError
        If the voxel size is not three positive numbers.
    """
    if voxel_size_um is not None and not all(0 < side < float("inf") for side in voxel_size_um):
        raise ConfigError(f"--truth-voxel-size is {voxel_size_um}: expected three lengths in um (z, y, x)")
    if may_be_store(source):
        return StoreTruths(source, voxel_size_um)
    return FolderTruths(source, voxel_size_um)


@dataclass(frozen=True)
class GridTruth:
    """A truth on the grid of a reconstruction.

    Attributes
    ----------
    occupancy
        (64, 64, 64) uint8.
    notes
        What a reader of its scores should know, as clauses about "the ground truth".
    """

    occupancy: NDArray[np.uint8]
    notes: tuple[str, ...] = ()


def truth_on_grid(
    truth: TruthVolume, row: CellRow, voxel_size_um: float | None, configuration: dict[str, Any]
) -> GridTruth:
    """Bring a truth onto the grid that a cell was reconstructed on.

    Parameters
    ----------
    truth
        The truth on its own grid.
    row
        The cell's row in the store.
    voxel_size_um
        Side of the grid's voxels; None if unknown.
    configuration
        The store's; its input settings say how the cell's image is read.

    Raises
    ------
    CellError
        If the truth's place on the grid cannot be known, or nothing of it lies there.
    """
    notes = []
    occupancy = truth.occupancy
    refuse_ambiguous(truth, row.scaled, row.source_shape)
    if not is_on_grid(truth, voxel_size_um):
        source = _crop_source(row, configuration)
        # Where a failed cell would have been does not matter: nothing is compared with its truth.
        if source is None and not row.is_failed:
            words = " x ".join(map(str, truth.occupancy.shape))
            raise CellError(
                f"the ground truth has {words} voxels on another grid than the reconstruction, whose store "
                f"does not say where the cell was cut out, and its image {row.source!r} cannot be read; "
                "reconstruct anew with this version of dispr."
            )
        placement = place_truth(truth, voxel_size_um, source)
        occupancy, beyond = onto_grid(truth, placement)
        if beyond > MOST_BEYOND:
            notes.append(f"{beyond:.0%} of the ground truth lies beyond the grid and is not compared")
    parts = int(ndimage.label(occupancy >= FOREGROUND, _CORNERS_TOO)[1])
    if parts > 1:
        notes.append(f"the ground truth consists of {parts} parts that do not touch; all are measured")
    return GridTruth(occupancy, tuple(notes))


def _crop_source(row: CellRow, configuration: dict[str, Any]) -> CropSource | None:
    """Return the image's size and the cell's place in it; None if nobody knows."""
    if row.bounding_box is None:
        return None
    if row.source_shape is not None:
        return CropSource(row.source_shape, row.bounding_box)
    if not row.source:
        return None
    try:  # Stores of early versions keep no size.
        header = read_header(Path(row.source), InputSettings.of_store(configuration))
    except DisprError:
        return None
    return CropSource((header.height, header.width), row.bounding_box)
