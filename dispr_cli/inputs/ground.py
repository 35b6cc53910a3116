"""Whether what a mask calls a cell is the ground around the cells: inverted masks, background labelled 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dispr_cli.inputs.pieces import number_pieces

_BORDER_FRACTION = 0.5
_NORTH, _SOUTH, _WEST, _EAST = 1, 2, 4, 8


def ground_label(labels: NDArray[np.integer[Any] | np.bool_], min_pixels: int) -> int | None:
    """Find a label that is the ground.

    The ground touches all four borders, holds more than half of the border's pixels, and goes around
    something of a cell's size that lies inside the image or is cut by one border of it. A cell that fills
    its crop does not: what is left beside it are corners and strips, which two borders cut at least, and
    holes below `min_pixels`.

    Parameters
    ----------
    labels
        (Y, X) whole numbers or bool; 0 is no label.
    min_pixels
        Area of the smallest cell.

    Returns
    -------
    int
        The label; None if none is like that.
    """
    height, width = labels.shape
    if height < 3 or width < 3:
        return None
    border = np.concatenate([labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]])
    values, counts = np.unique(border[border != 0], return_counts=True)
    if not len(values) or counts.max() <= _BORDER_FRACTION * border.size:
        return None
    value = values[np.argmax(counts)]
    pieces, _ = number_pieces(labels == value)
    around = _most_frequent(pieces, border.size)
    if around is None:
        return None
    rest, count = ndimage.label(pieces != around)
    areas = np.bincount(rest.ravel(), minlength=count + 1)[1:]
    borders = _borders_of_pieces(rest, count)
    one_at_most = np.isin(borders, (0, _NORTH, _SOUTH, _WEST, _EAST))
    return int(value) if np.any(one_at_most & (areas >= min_pixels)) else None


def _most_frequent(pieces: NDArray[np.int32], border_pixels: int) -> int | None:
    """Return the piece that touches all four borders and holds more than half of their pixels."""
    edges = pieces[0], pieces[-1], pieces[1:-1, 0], pieces[1:-1, -1]
    counts = np.bincount(np.concatenate(edges))
    counts[0] = 0
    piece = int(np.argmax(counts))
    touches_all = all(np.any(edge == piece) for edge in (pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]))
    return piece if touches_all and counts[piece] > _BORDER_FRACTION * border_pixels else None


def _borders_of_pieces(pieces: NDArray[np.int32], count: int) -> NDArray[np.uint8]:
    """Return the borders that each piece touches, as the sum of their bits."""
    found = np.zeros(count + 1, np.uint8)
    for edge, bit in (
        (pieces[0], _NORTH),
        (pieces[-1], _SOUTH),
        (pieces[:, 0], _WEST),
        (pieces[:, -1], _EAST),
    ):
        found[np.unique(edge)] |= bit
    return found[1:]
