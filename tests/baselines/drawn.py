"""Cells drawn for the peers' tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import GRID
from dispr_cli.inputs.cell import Cell


def cell_of(mask: NDArray[np.bool_], name: str = "drawn", image: NDArray[np.float32] | None = None) -> Cell:
    image = mask.astype(np.float32) if image is None else image
    return Cell(name, image, mask, None, Path(name), None, (0, 0, GRID, GRID), False)


def draw_ellipse(
    semi_y: float, semi_x: float, centre: tuple[float, float] = (31.5, 31.5)
) -> NDArray[np.bool_]:
    y, x = np.indices((GRID, GRID))
    return np.asarray(((y - centre[0]) / semi_y) ** 2 + ((x - centre[1]) / semi_x) ** 2 <= 1.0)
