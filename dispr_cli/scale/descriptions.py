"""What the table says of a cell besides its volumes: surface, measured intervals, how familiar it looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import FOREGROUND
from dispr_cli.diffusion.trust import Trust
from dispr_cli.errors import CellError
from dispr_cli.inputs.cell import Cell
from dispr_cli.volumes.rows import CellRow

Area = Callable[[NDArray[np.uint8]], float]
"""Measures the surface of one volume in squares of a voxel's side."""


def described(
    row: CellRow,
    cell: Cell | CellError | None,
    volumes: NDArray[np.uint8],
    area: Area | None,
    trust: Trust | None,
) -> CellRow:
    """Return the row with what its cell and its samples, (S, Z, Y, X), say; as it is if the cell is not done.

    Parameters
    ----------
    cell
        None for a cell that an earlier run finished: what its row says of it stays.
    area
        None leaves the surface out.
    trust
        Without calibrated intervals, or without knowing the training cells, their columns stay empty.
    """
    if not row.is_done:
        return row
    if isinstance(cell, Cell) and trust is not None and trust.familiarity is not None:
        row = replace(row, unlike_training=trust.familiarity.unlike(cell))
    if area is None or row.surface_voxels_mean is not None:
        return row
    areas = np.array([area(volume) for volume in volumes])
    counts = np.count_nonzero(volumes >= FOREGROUND, axis=(1, 2, 3))
    columns: dict[str, Any] = {
        "surface_voxels_mean": float(areas.mean()),
        "surface_voxels_sd": float(areas.std(ddof=1)) if len(areas) > 1 else None,
    }
    for quantity, samples in (("volume", counts), ("surface", areas)):
        calibration = None if trust is None else trust.intervals.get(quantity)
        if calibration is not None and (ends := calibration.interval(samples)) is not None:
            columns |= dict(zip((f"{quantity}_voxels_low", f"{quantity}_voxels_high"), ends, strict=True))
    return replace(row, **columns)
