"""How a cell's shapes become rows and which features are kept: a few ways, chosen on folds within a fold."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dispr_cli.study.class_scores import f1_of
from dispr_cli.study.folds import assign_folds
from dispr_cli.study.forest import FittedForest, ForestConfig, fit_forest
from dispr_cli.study.rows import LabelledRows

EACH, MEAN, SPREAD = "each", "mean", "mean and sd"
FEW_FEATURES, ALL_FEATURES = 20, 10**6
INNER_FOLDS = 4
INNER_TREES = 100


@dataclass(frozen=True, slots=True)
class Way:
    """One way to use the rows of a fold.

    Attributes
    ----------
    samples
        ``each`` shape of a cell is a row, answers are averaged; ``mean``: one row a cell, the mean of its
        shapes' features; ``mean and sd``: their standard deviations beside it.
    num_kept
        See :class:`~dispr_cli.study.forest.ForestConfig`.
    """

    samples: str = EACH
    num_kept: int | None = None

    def __str__(self) -> str:
        kept = {None: "features above average", ALL_FEATURES: "all features"}
        return f"{self.samples}, {kept.get(self.num_kept, f'best {self.num_kept} features')}"


AS_IT_IS = (Way(),)
PLANE_WAYS = tuple(Way(EACH, kept) for kept in (None, FEW_FEATURES, ALL_FEATURES))
SAMPLE_WAYS = tuple(Way(samples, kept) for samples in (MEAN, EACH, SPREAD) for kept in (None, FEW_FEATURES))
"""What a variant may choose from."""


def gathered(rows: LabelledRows, samples: str, num_spread: int) -> LabelledRows:
    """Bring the rows of each cell together.

    Parameters
    ----------
    rows
        Any number of rows a cell.
    samples
        See :class:`Way`.
    num_spread
        The first features, of which ``mean and sd`` adds the standard deviation.

    Returns
    -------
    LabelledRows
        One row a cell, sorted by name, but for ``each``, which changes nothing.
    """
    if samples == EACH or len(rows) == 0:
        return rows
    cells, first, place = np.unique(rows.cells, return_index=True, return_inverse=True)
    groups = [rows.values[place == cell] for cell in range(len(cells))]
    values = np.stack([_known_mean(group) for group in groups])
    if samples == SPREAD:
        spread = [np.sqrt(_known_mean((group - _known_mean(group)) ** 2))[:num_spread] for group in groups]
        values = np.concatenate([values, np.stack(spread)], axis=1)
    return LabelledRows(cells, rows.classes[first], rows.networks[first], values)


def _known_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over rows of what is known; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def fit_way(rows: LabelledRows, way: Way, balance: str, config: ForestConfig, seed: int) -> FittedForest:
    """Grow a forest on gathered rows, as the way says."""
    config = dataclasses.replace(config, num_kept=way.num_kept)
    return fit_forest(rows.values, rows.classes, balance, config, seed)


def choose_way(
    ways: Sequence[Way], train: LabelledRows, num_spread: int, balance: str, config: ForestConfig, seed: int
) -> Way:
    """Choose the way with the best macro F1 on folds of the training cells alone; the first of equals.

    Parameters
    ----------
    ways
        To choose from.
    train
        Rows of the training cells; those that are tested are not among them.
    num_spread
        See :func:`gathered`.
    balance, config
        As for the forest that is grown in the end; these have no more than :data:`INNER_TREES` trees.
    seed
        Of folds and forests.
    """
    if len(ways) == 1:
        return ways[0]
    few = dataclasses.replace(config, num_trees=min(config.num_trees, INNER_TREES))
    scores = [_inner_score(way, train, num_spread, balance, few, seed) for way in ways]
    return ways[int(np.argmax(scores))]


def _inner_score(
    way: Way, train: LabelledRows, num_spread: int, balance: str, config: ForestConfig, seed: int
) -> float:
    rows = gathered(train, way.samples, num_spread)
    cells, first = np.unique(rows.cells, return_index=True)
    classes = rows.classes[first]
    known = sorted(set(classes.tolist()))
    fold_of = assign_folds(tuple(cells.tolist()), INNER_FOLDS, seed, classes.tolist())
    confusion = np.zeros((len(known), len(known) + 1))
    for fold in range(INNER_FOLDS):
        tested = np.isin(rows.cells, cells[fold_of == fold])
        if not tested.any() or tested.all():
            continue
        model = fit_way(rows.where(~tested), way, balance, config, seed)
        found = answers_by_cell(model, rows.where(tested), cells[fold_of == fold], known)
        truth = [known.index(own) for own in classes[fold_of == fold].tolist()]
        np.add.at(confusion, (truth, found), 1)
    return float(f1_of(confusion).mean())


def answers_by_cell(
    model: FittedForest, rows: LabelledRows, cells: NDArray[np.str_], classes: Sequence[str]
) -> list[int]:
    """Give each cell the index of the class that is most probable on average over its rows.

    A cell without a row gets ``len(classes)``, an answer that no cell has, which counts as wrong.
    """
    probabilities = model.probabilities(rows.values) if len(rows) else np.zeros((0, 0))
    found = []
    for cell in cells:
        own = probabilities[rows.cells == cell]
        found.append(
            classes.index(model.classes[int(own.mean(axis=0).argmax())]) if len(own) else len(classes)
        )
    return found
