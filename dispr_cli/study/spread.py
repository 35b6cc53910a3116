"""Small classes filled up with true shapes that vary as the network's samples of one image vary.

A predicted shape differs from the true one of its cell for two reasons: the network errs, in much the
same way for all cells, and one image leaves several shapes open. Only by the second should training rows be
varied. So a sample's features are taken relative to the mean over the samples of its cell, which leaves the
error out, and added to a true shape: a smoothed bootstrap (Silverman & Young 1987, as ROSE, Menardi & Torelli
2014) whose kernel is not round but what the network holds possible.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from dispr_cli.study.rows import LabelledRows


def add_varied(truth: LabelledRows, predicted: LabelledRows, random: np.random.Generator) -> LabelledRows:
    """Fill every class up to the largest with true shapes, each varied as some sample of its class varies.

    Parameters
    ----------
    truth
        True shapes of the training cells, one row a cell.
    predicted
        Predicted shapes of training cells, by networks that may serve.
    random
        Draws which true shape meets which sample.

    Returns
    -------
    LabelledRows
        The true rows and then the varied ones, which carry the network that drew their sample. A class of
        which nothing is predicted is varied as all others are.
    """
    counts = Counter(truth.classes.tolist())
    most, spread = max(counts.values()), deviations(truth, predicted)
    filled = truth
    for name in sorted(counts):
        own = np.flatnonzero(truth.classes == name)
        chosen = truth.where(random.choice(own, most - len(own)))
        pool = np.flatnonzero(spread.classes == name)
        drawn = spread.where(random.choice(pool if len(pool) else np.arange(len(spread)), len(chosen)))
        varied = chosen.values + drawn.values
        filled = filled.beside(LabelledRows(chosen.cells, chosen.classes, drawn.networks, varied))
    return filled


def deviations(truth: LabelledRows, predicted: LabelledRows) -> LabelledRows:
    """Return how the samples of one image vary, without what the network gets wrong on average.

    Samples less the mean over those of their cell by their network, times sqrt(n / (n - 1)) for n of them, so
    that the covariance is right. Where no cell was drawn twice, the true shape is the other sample: samples
    less the true shape of their cell, less the mean of that over all cells of the network, over sqrt(2). If
    the network's samples are as likely as the truth, both have the same covariance.

    Parameters
    ----------
    truth
        True shapes, one row a cell.
    predicted
        Any number of rows a cell and network, of cells in ``truth``.

    Returns
    -------
    LabelledRows
        One row for each sample that tells something; 0 where a feature has no value.
    """
    group, size = _groups(predicted)
    if (size > 1).any():
        rows, group, size = predicted.where(size > 1), group[size > 1], size[size > 1]
        values = _centred(rows.values, group) * np.sqrt(size / (size - 1))[:, None]
    else:
        rows = predicted.where(np.isin(predicted.cells, truth.cells))
        place = {cell: row for row, cell in enumerate(truth.cells.tolist())}
        errors = rows.values - truth.values[[place[cell] for cell in rows.cells.tolist()]]
        values = _centred(errors, np.unique(rows.networks, return_inverse=True)[1]) / np.sqrt(2)
    return LabelledRows(rows.cells, rows.classes, rows.networks, np.where(np.isnan(values), 0.0, values))


def _groups(rows: LabelledRows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each row the number of its pair of cell and network, and how many rows share it."""
    names = np.char.add(np.char.add(rows.networks, "\n"), rows.cells)
    _, group, count = np.unique(names, return_inverse=True, return_counts=True)
    return group, count[group]


def _centred(values: NDArray[np.float64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Take the mean over the rows of each group from these rows; NaN, which has no place in it, stays."""
    found = values.copy()
    for own in np.unique(group):
        members = values[group == own]
        known = ~np.isnan(members)
        total = np.where(known, members, 0.0).sum(axis=0)
        found[group == own] = members - total / np.maximum(known.sum(axis=0), 1)
    return found
