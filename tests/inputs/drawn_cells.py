"""Cells drawn by formula, whose size and place the tests know."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    """Pixels at most `radius` from `centre`, (Y, X)."""
    y, x = np.indices(shape)
    return np.hypot(y - centre[0], x - centre[1]) <= radius
