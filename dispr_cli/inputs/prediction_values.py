"""What the values of another program's volumes mean: masks, probabilities or occupancies up to 255."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import FOREGROUND
from dispr_cli.errors import InputError

ROUNDING = 1e-3
"""Probabilities may exceed 1 by this much: means of float32 and float16 do so by their rounding."""

MOST_LABELS = 32
"""A faint uint8 volume of more values than these is an occupancy and no image of labels."""


LOOKED_AT = 32
"""Cells whose volumes tell what the values of a method mean."""


def looked_at(count: int) -> list[int]:
    """Choose at most :data:`LOOKED_AT` of so many cells, spread evenly, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, count - 1, LOOKED_AT)}) if count else []


def grey_kinds(volumes: Iterable[NDArray[Any]]) -> frozenset[np.dtype]:
    """Find the kinds of number in which a method writes occupancies from 0 to 255.

    One volume may be too faint to show it, and would pass for a mask (0 and 1) or for probabilities (0.3 of
    255). So the volumes of a method vote: those of several values up to 128 ... 255 can be nothing else,
    those that a mask or probabilities explain better speak against it.

    Parameters
    ----------
    volumes
        Some of a method, each (Z, Y, X).

    Returns
    -------
    frozenset
        The kinds of number whose volumes are read as they stand.
    """
    votes: Counter[np.dtype] = Counter()
    for voxels in volumes:
        if not _is_sound(voxels) or not voxels.any():
            continue
        most = voxels.max()
        if _is_probability(voxels) or (_is_mask(voxels) and most < FOREGROUND):
            votes[voxels.dtype] -= 1
        elif not _is_mask(voxels) and FOREGROUND <= most <= 255:
            votes[voxels.dtype] += 1
    return frozenset(kind for kind, count in votes.items() if count > 0)


def occupancy(
    voxels: NDArray[Any], path: Path, cell: str, grey: frozenset[np.dtype] = frozenset()
) -> NDArray[np.uint8]:
    """Read what a prediction means: 0 or one value, a probability up to 1, or an occupancy up to 255.

    Parameters
    ----------
    voxels
        (Z, Y, X).
    path, cell
        For messages.
    grey
        Kinds of number that hold occupancies up to 255 however faint, from :func:`grey_kinds`.

    Returns
    -------
    ndarray
        The same as uint8, foreground from 128 upwards.

    Raises
    ------
    InputError
        If the values are none of these, or may be something else: percentages, labels.
    """
    if _is_sound(voxels):
        most = voxels.max(initial=0)
        is_grey = voxels.dtype in grey and most <= 255
        if not is_grey and _is_probability(voxels):
            return np.rint(255 * np.minimum(voxels.astype(np.float64), 1)).astype(np.uint8)
        if not is_grey and _is_mask(voxels):
            return np.where(voxels > 0, np.uint8(255), np.uint8(0))
        if is_grey or FOREGROUND <= most <= 255 or _has_many_values(voxels):
            return np.rint(voxels).astype(np.uint8)
    found = f"up to {voxels.max(initial=0):g}" if voxels.dtype.kind in "biufc" else "that are no numbers"
    raise InputError(
        f"{path}: the prediction of cell {cell!r} has values {found} ({voxels.dtype}); expected 0 outside "
        "and one value inside, probabilities from 0 to 1, or an occupancy from 0 to 255 that reaches "
        f"{FOREGROUND}: scale or threshold the volumes."
    )


def _is_sound(voxels: NDArray[Any]) -> bool:
    return bool(voxels.dtype.kind in "biuf" and np.isfinite(voxels).all() and voxels.min(initial=0) >= 0)


def _is_probability(voxels: NDArray[Any]) -> bool:
    return voxels.dtype.kind == "f" and bool(voxels.max(initial=0) <= 1 + ROUNDING)


def _is_mask(voxels: NDArray[Any]) -> bool:
    return bool(((voxels == 0) | (voxels == voxels.max(initial=0))).all())


def _has_many_values(voxels: NDArray[Any]) -> bool:
    return bool(voxels.dtype == np.uint8 and len(np.unique(voxels)) > MOST_LABELS)
