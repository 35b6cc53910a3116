"""The study as SHAPR's notebook does it, with its leaks, to show what they are worth.

Features are scaled and selected on all cells, those tested included, and with predicted shapes in the table a
test cell's own copies may train. Never use these numbers for anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dispr_cli.study.balance import add_synthetic, has_smote
from dispr_cli.study.class_scores import f1_of
from dispr_cli.study.contest import StudyData
from dispr_cli.study.forest import ForestConfig, grow, scale_of
from dispr_cli.study.rows import NO_NETWORK, LabelledRows

NUM_SPLITS = 5
TEST_SHARE = 0.1
SELECTION_TEST_SHARE = 0.3
LEAST_IMPORTANCE = 0.015
"""As in the notebook."""


@dataclass(frozen=True, eq=False)
class PublishedScores:
    """Scores of the leaking protocol.

    Attributes
    ----------
    macro_f1, weighted_f1
        (S,) on the true shapes of each of the test sets; the notebook reports the weighted one.
    num_features
        Features kept.
    copied_share
        Share of the tested cells of which a predicted copy was trained on.
    """

    macro_f1: NDArray[np.float64]
    weighted_f1: NDArray[np.float64]
    num_features: int
    copied_share: float


def score_as_published(
    data: StudyData,
    config: ForestConfig,
    *,
    with_predicted: bool,
    seed: int = 0,
    done: Callable[[], None] = lambda: None,
) -> PublishedScores:
    """Train and test the way the notebook does.

    Parameters
    ----------
    data
        The same as for the honest variants.
    config
        How forests grow.
    with_predicted
        Add the predicted shapes of small classes to the table before it is split.
    seed
        Of everything random.
    done
        Called after each split.
    """
    from sklearn.model_selection import StratifiedShuffleSplit

    rows = _table(data, with_predicted)
    filling, mean, sd = scale_of(rows.values)
    values = (np.where(np.isnan(rows.values), filling, rows.values) - mean) / sd
    kept = _selected(values, rows.classes, config, seed)
    # Of few cells a tenth would not hold one of each class.
    tested = max(round(TEST_SHARE * len(rows)), len(data.classes))
    splitter = StratifiedShuffleSplit(NUM_SPLITS, test_size=tested, random_state=seed)
    scores, copied = [], []
    for number, (train, test) in enumerate(splitter.split(values, rows.classes)):
        balanced, classes = _balanced(values[train][:, kept], rows.classes[train], seed + number)
        forest = grow(balanced, classes, config.num_trees, seed + number, None)
        true = test[rows.networks[test] == NO_NETWORK]
        answers = forest.predict(values[true][:, kept]).astype(str)
        scores.append(_scores(rows.classes[true], answers, data.classes))
        copied.append(np.isin(rows.cells[true], rows.cells[train]).mean())
        done()
    macro, weighted = np.array(scores).T
    return PublishedScores(macro, weighted, len(kept), float(np.mean(copied)))


def _table(data: StudyData, with_predicted: bool) -> LabelledRows:
    shape = np.arange(data.num_shape_features)
    truth = data.truth.columns(shape)
    if not with_predicted:
        return truth
    chosen = np.isin(data.predicted.classes, list(data.minorities))
    return truth.beside(data.predicted.columns(shape).where(chosen))


def _selected(
    values: NDArray[np.float64], classes: NDArray[np.str_], config: ForestConfig, seed: int
) -> NDArray[np.int64]:
    """Keep features of some importance to a forest on most rows, test rows of later splits included."""
    order = np.random.default_rng(seed).permutation(len(values))
    train = order[: round((1 - SELECTION_TEST_SHARE) * len(values))]
    balanced, names = _balanced(values[train], classes[train], seed)
    importances = grow(balanced, names, config.num_trees, seed, None).feature_importances_
    kept = np.flatnonzero(importances >= LEAST_IMPORTANCE)
    return kept if len(kept) else np.argsort(importances)[-10:]


def _balanced(
    values: NDArray[np.float64], classes: NDArray[np.str_], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    return add_synthetic(values, classes, seed) if has_smote() else (values, classes)


def _scores(truth: NDArray[np.str_], answers: NDArray[np.str_], classes: list[str]) -> tuple[float, float]:
    """Return macro and weighted F1 over the classes that occur in a test set."""
    confusion = np.zeros((len(classes), len(classes) + 1))
    for true, answer in zip(truth, answers, strict=True):
        confusion[classes.index(str(true)), classes.index(str(answer))] += 1
    f1, counts = f1_of(confusion), confusion.sum(axis=1)
    return float(f1[counts > 0].mean()), float((f1 * counts).sum() / counts.sum())
