"""The ground truths of planned cells, found beside or apart from them and laid on the grid of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import CellError, InputError
from dispr_cli.inputs.plan import CellRef
from dispr_cli.inputs.truth import read_truth_volume
from dispr_cli.inputs.truth_folder import find_truths, find_truths_in_obj, truth_by_cell
from dispr_cli.inputs.truth_grid import (
    MOST_BEYOND,
    CropSource,
    Triple,
    is_on_grid,
    onto_grid,
    place_truth,
    refuse_ambiguous,
)


@dataclass(frozen=True, slots=True)
class TruthSource:
    """Where ground truths are.

    Attributes
    ----------
    folder
        A folder as :func:`~dispr_cli.inputs.truth_folder.find_truths` reads it; None for ``obj/`` beside the
        images.
    voxel_size_um
        Sides (z, y, x) of the truths' voxels; None leaves it to the files.
    """

    folder: Path | None = None
    voxel_size_um: Triple | None = None


class CellTruths:
    """Ground truths of the cells of a plan.

    Parameters
    ----------
    source
        What the plan was made of.
    cells
        The cells of the plan.
    truths
        Where their truths are.

    Raises
    ------
    InputError
        If the folder of truths is missing or holds none, or two of them have one name.
    """

    def __init__(self, source: Path, cells: Sequence[CellRef], truths: TruthSource) -> None:
        self._truths = truths
        files = {}
        if truths.folder is not None:
            files = find_truths(truths.folder)
        elif source.is_dir() and any(ref.truth is None for ref in cells):
            # Cells of a label image, and volumes in formats that are no images.
            files = find_truths_in_obj(source)
        self._by_name = truth_by_cell(files, [ref.name for ref in cells]) if files else {}

    def read(self, ref: CellRef) -> NDArray[np.uint8]:
        """Read the truth of a cell on the cell's grid, (64, 64, 64) uint8.

        Raises
        ------
        InputError
            If there is none, or its file cannot be read, is damaged or empty.
        CellError
            If its place on the grid cannot be known, or it does not lie there as a whole.
        """
        path = self._file(ref)
        truth = read_truth_volume(path)
        if self._truths.voxel_size_um is not None:
            truth = replace(truth, voxel_size_um=self._truths.voxel_size_um)
        try:
            refuse_ambiguous(truth, ref.scaled, ref.shape)
            if is_on_grid(truth, ref.voxel_size_um):
                return truth.occupancy
            source = None if ref.bounding_box is None else CropSource(ref.shape, ref.bounding_box)
            placement = place_truth(truth, ref.voxel_size_um, source, grid_option="--pixel-size")
            occupancy, beyond = onto_grid(truth, placement)
        except CellError as error:
            raise CellError(f"{path}: {error}") from error
        if beyond > MOST_BEYOND:
            raise CellError(
                f"{path}: {beyond:.0%} of the ground truth lies beyond the grid of the cell; check its voxel "
                "size, and the pixel size of the image."
            )
        return occupancy

    def _file(self, ref: CellRef) -> Path:
        beside = None if self._truths.folder is not None else ref.truth
        path = beside or self._by_name.get(ref.name)
        if path is None:
            place = "obj/" if self._truths.folder is None else str(self._truths.folder)
            raise InputError(f"{ref.image}: there is no volume of the name {ref.name!r} in {place}.")
        return path
