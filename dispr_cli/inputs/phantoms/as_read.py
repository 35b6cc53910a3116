"""A phantom as the methods see it: what reading its image and mask from files gives, without the files."""

from __future__ import annotations

from pathlib import Path

from dispr_cli.config import FOREGROUND, GRID
from dispr_cli.inputs.cell import Cell
from dispr_cli.inputs.crops import normalise
from dispr_cli.inputs.phantoms.generate import Phantom


def as_read(phantom: Phantom) -> Cell:
    """Turn a phantom into the cell its files are read as, intensities normalised like every other image's.

    Raises
    ------
    CellError
        If the image is flat.
    """
    mask = phantom.mask >= FOREGROUND
    image = normalise(phantom.image, mask)
    box = (0, 0, GRID, GRID)
    return Cell(phantom.name, image, mask, phantom.voxel_size_um, Path(phantom.name), None, box, False)
