"""Labels that are several things: one value for a class of cells makes one cell of them all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.inputs.pieces import number_pieces

PIECE_FRACTION = 0.2
"""Share of a label's largest piece that makes another piece of it more than a stray."""


def notes_on_pieces(
    labels: NDArray[np.integer[Any]], boxes: Iterable[tuple[int, tuple[int, int, int, int]]], min_pixels: int
) -> list[str]:
    """Say which labels consist of several pieces of a cell's size.

    Parameters
    ----------
    labels
        (Y, X) whole numbers.
    boxes
        Each label with its bounding box (y0, x0, y1, x1).
    min_pixels
        Area of the smallest cell.

    Returns
    -------
    list of str
        One sentence about all of them, or nothing.
    """
    several = []
    for label, (y0, x0, y1, x1) in boxes:
        pieces, _ = number_pieces(labels[y0:y1, x0:x1] == label)
        areas = np.bincount(pieces.ravel())[1:]
        count = np.count_nonzero(areas >= max(min_pixels, PIECE_FRACTION * areas.max()))
        if count > 1:
            several.append((label, count))
    if not several:
        return []
    (label, count), more = several[0], len(several) - 1
    others = f", {more} more label(s) of several too" if more else ""
    return [
        f"label {label} consists of {count} separate pieces{others}: each label is taken for one cell; "
        "if each piece is a cell, give --labels components"
    ]
