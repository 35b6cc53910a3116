"""The one thing that travels from the inputs to every method: a cell on the network's grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell, cropped and resampled to the network's grid.

    Attributes
    ----------
    name
        Unique within a run; ``file`` or ``file#label`` for a label image.
    image
        Fluorescence, (64, 64) float32 in [0, 1], surroundings included.
    mask
        The cell's outline, (64, 64) bool.
    voxel_size_um
        Side of one (isotropic) voxel of the grid, in micrometres; None if the pixel size is unknown.
    source
        The image file the cell was cut from.
    label
        The cell's value in the label image; None where the mask holds a single cell.
    bounding_box
        (y0, x0, y1, x1) of the cell in pixels of the source, half open.
    touches_border
        Whether the border of the source image cuts the cell.
    truth
        The file of the 3D ground truth, where the input folder has one.
    made_from
        Digest of the pixels it was cut from and of its place among them; empty for cells from elsewhere.
    """

    name: str
    image: NDArray[np.float32]
    mask: NDArray[np.bool_]
    voxel_size_um: float | None
    source: Path
    label: int | None
    bounding_box: tuple[int, int, int, int]
    touches_border: bool
    truth: Path | None = None
    made_from: str = ""
