"""Splits by cell, so that nothing of a held-out cell is ever trained on."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def class_of(name: str) -> str:
    """Class of a cell from its file name: what stands before the number.

    ``B_keratocytes000679`` is of ``B_keratocytes``; numbers before the first word, as in
    ``-0.33_stomatocyte_I000123``, belong to the class.
    """
    match = re.match(r"(.*?[^\W\d_])[_\- ]*\d+", name)
    return match.group(1) if match else name


def assign_folds(
    names: list[str] | tuple[str, ...],
    num_folds: int,
    seed: int = 0,
    classes: Sequence[str] | None = None,
) -> NDArray[np.int64]:
    """Fold of each cell, stratified by class.

    The order of ``names`` does not matter: cells are sorted before they are dealt out.

    Parameters
    ----------
    names
        The cells.
    num_folds
        Into how many folds they are dealt.
    seed
        Decides which cells meet in a fold.
    classes
        Class of each cell; read from the names if None.

    Returns
    -------
    (len(names),) int64 in 0 .. num_folds - 1
    """
    fold = np.zeros(len(names), np.int64)
    order = _by_class(names, seed, classes)
    fold[order] = np.arange(len(names)) % num_folds
    return fold


def hold_out(names: Sequence[str], count: int, seed: int = 0) -> NDArray[np.bool_]:
    """Choose some cells, of each class its share up to one cell; the order of ``names`` does not matter.

    Parameters
    ----------
    names
        The cells.
    count
        How many are chosen.
    seed
        Decides which.

    Returns
    -------
    (len(names),) bool
    """
    # Of places 0 .. N - 1 in the row of classes those are taken where i count / N passes a whole number.
    passed = np.arange(len(names) + 1) * count // max(len(names), 1)
    chosen = np.zeros(len(names), np.bool_)
    chosen[_by_class(names, seed, None)] = np.diff(passed) > 0
    return chosen


def _by_class(names: Sequence[str], seed: int, classes: Sequence[str] | None) -> NDArray[np.int64]:
    """Line the indices of the cells up, class by class, shuffled within each."""
    rng = np.random.default_rng(seed)
    known = [class_of(name) for name in names] if classes is None else list(classes)
    order: list[int] = []
    for cell_class in sorted(set(known)):
        members = sorted((name, i) for i, name in enumerate(names) if known[i] == cell_class)
        order += [members[position][1] for position in rng.permutation(len(members))]
    return np.array(order, np.int64)
