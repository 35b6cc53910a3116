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
    rng = np.random.default_rng(seed)
    dealt = 0
    known = [class_of(name) for name in names] if classes is None else list(classes)
    for cell_class in sorted(set(known)):
        members = sorted((name, i) for i, name in enumerate(names) if known[i] == cell_class)
        for position in rng.permutation(len(members)):
            fold[members[position][1]] = dealt % num_folds
            dealt += 1
    return fold
