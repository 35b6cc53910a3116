"""One random forest within one fold: everything it learns, it learns from the rows of that fold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.study.balance import add_copies, add_synthetic

NONE, COPIES, SMOTE, WEIGHTS = "none", "copies", "smote", "weights"
BALANCES = (NONE, COPIES, SMOTE, WEIGHTS)
"""How a forest makes up for small classes."""


@dataclass(frozen=True, slots=True)
class ForestConfig:
    """How forests grow.

    Attributes
    ----------
    num_trees
        Trees of the forest that classifies.
    num_selection_trees
        Trees of the forest whose importances select features; 0 keeps all.
    num_kept
        Features that are kept, the most important ones; None keeps those above average.
    """

    num_trees: int = 300
    num_selection_trees: int = 100
    num_kept: int | None = None


@dataclass(frozen=True, eq=False)
class FittedForest:
    """A forest with what was learned before it.

    Attributes
    ----------
    filling, mean, sd
        (F,) medians that stand in for missing values, and the scale.
    kept
        Indices of the selected features.
    forest
        scikit-learn's forest on these.
    """

    filling: NDArray[np.float64]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    kept: NDArray[np.int64]
    forest: Any = field(repr=False)

    @property
    def classes(self) -> list[str]:
        """Classes in the order of the probabilities."""
        return [str(name) for name in self.forest.classes_]

    @property
    def importances(self) -> NDArray[np.float64]:
        """(F,) importance of each feature (mean decrease of impurity); 0 where it was not selected."""
        found = np.zeros(len(self.mean))
        found[self.kept] = self.forest.feature_importances_
        return found

    def probabilities(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of each class for rows of features (N, F): (N, C)."""
        scaled = (np.where(np.isnan(values), self.filling, values) - self.mean) / self.sd
        found: NDArray[np.float64] = self.forest.predict_proba(scaled[:, self.kept])
        return found


def fit_forest(
    values: NDArray[np.float64], classes: NDArray[np.str_], balance: str, config: ForestConfig, seed: int
) -> FittedForest:
    """Fill, scale, balance, select, then grow a forest, all on training rows alone.

    Parameters
    ----------
    values
        (N, F) features of the training rows; NaN where one has no value.
    classes
        (N,) their classes.
    balance
        One of :data:`BALANCES`.
    config
        How forests grow.
    seed
        Of everything random.
    """
    filling, mean, sd = scale_of(values)
    scaled = (np.where(np.isnan(values), filling, values) - mean) / sd
    if balance == COPIES:
        index = add_copies(classes, np.random.default_rng(seed))
        scaled, classes = scaled[index], classes[index]
    elif balance == SMOTE:
        scaled, classes = add_synthetic(scaled, classes, seed)
    weights = "balanced" if balance == WEIGHTS else None
    kept = _selected(scaled, classes, weights, config, seed)
    forest = grow(scaled[:, kept], classes, config.num_trees, seed, weights)
    return FittedForest(filling, mean, sd, kept, forest)


def scale_of(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return medians, means and standard deviations of the columns, (F,) each; 1 for the sd of a constant."""
    known = ~np.isnan(values)
    filling = np.array(
        [np.median(column[use]) if use.any() else 0.0 for column, use in zip(values.T, known.T, strict=True)]
    )
    filled = np.where(known, values, filling)
    sd = filled.std(axis=0)
    return filling, filled.mean(axis=0), np.where(sd > 0, sd, 1.0)


def grow(
    values: NDArray[np.float64], classes: NDArray[np.str_], num_trees: int, seed: int, weights: str | None
) -> Any:
    """Grow a random forest (Breiman 2001) of scikit-learn."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(num_trees, random_state=seed, class_weight=weights).fit(values, classes)


def _selected(
    values: NDArray[np.float64],
    classes: NDArray[np.str_],
    weights: str | None,
    config: ForestConfig,
    seed: int,
) -> NDArray[np.int64]:
    """Keep the features that are most important to a first forest."""
    if config.num_selection_trees == 0:
        return np.arange(values.shape[1])
    first = grow(values, classes, config.num_selection_trees, seed + 1, weights)
    importances = first.feature_importances_
    if config.num_kept is not None:
        best: NDArray[np.int64] = np.sort(np.argsort(importances)[::-1][: config.num_kept])
        return best
    kept = np.flatnonzero(importances >= importances.mean())
    return kept if len(kept) else np.arange(values.shape[1])
