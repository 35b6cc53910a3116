"""Which pixels of a mask hang together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def number_pieces(foreground: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Find the pieces of a mask and number them; pixels that touch at a corner are of one piece.

    Parameters
    ----------
    foreground
        (Y, X) bool.

    Returns
    -------
    ndarray
        (Y, X) int32, 0 outside and the pieces from 1, in the order of their first pixels.
    int
        How many there are.
    """
    pieces, count = ndimage.label(foreground, _EIGHT_NEIGHBOURS, output=np.int32)
    return pieces, int(count)
