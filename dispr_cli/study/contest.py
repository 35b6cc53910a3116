"""Every variant on the same folds: what each says of every cell when it is tested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import ConfigError
from dispr_cli.study.balance import add_predicted
from dispr_cli.study.forest import FittedForest, ForestConfig, fit_forest
from dispr_cli.study.networks import NetworkRecord
from dispr_cli.study.rows import LabelledRows, refuse_leaks, rows_for_testing, rows_for_training
from dispr_cli.study.splits import Split
from dispr_cli.study.variants import FILLED, PLANE, PREDICTED, SHAPE, TRUE, Variant


@dataclass(frozen=True, eq=False)
class StudyData:
    """Everything the variants draw from.

    Attributes
    ----------
    truth
        True shapes, one row a cell, features of shape and then of plane.
    predicted
        Predicted shapes, any number of rows a cell, the same features.
    networks
        What each network that predicted has seen.
    names
        The F features.
    num_shape_features
        How many of them, the first ones, are of the shape.
    minorities
        Classes that predicted shapes fill up.
    """

    truth: LabelledRows
    predicted: LabelledRows
    networks: Mapping[str, NetworkRecord]
    names: tuple[str, ...]
    num_shape_features: int
    minorities: tuple[str, ...]

    @property
    def classes(self) -> list[str]:
        """All classes, sorted."""
        return sorted(set(self.truth.classes.tolist()))

    def columns_of(self, variant: Variant) -> NDArray[np.int64]:
        """Return the indices of the features a variant uses."""
        start = self.num_shape_features if variant.features == PLANE else 0
        stop = self.num_shape_features if variant.features == SHAPE else len(self.names)
        return np.arange(start, stop)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one variant says.

    Attributes
    ----------
    variant
        Which one.
    answers
        (R, N) index of the class it gives each of N cells in each of R repetitions.
    importances
        (F,) mean importance of every feature over all forests.
    train_counts
        Rows that trained a forest, on average over the folds, by class.
    """

    variant: Variant
    answers: NDArray[np.int64]
    importances: NDArray[np.float64]
    train_counts: dict[str, float]


def run_variant(
    data: StudyData,
    variant: Variant,
    splits: Sequence[Split],
    config: ForestConfig,
    done: Callable[[], None] = lambda: None,
) -> Outcome:
    """Train and test one variant on every split.

    Parameters
    ----------
    data
        What it draws from.
    variant
        Which one.
    splits
        Every repetition tests every cell once.
    config
        How forests grow.
    done
        Called after each split.

    Raises
    ------
    ConfigError
        If no predicted shape may be used in a fold, or a leak is found.
    """
    repeats = max(split.repeat for split in splits) + 1
    answers = np.full((repeats, len(data.truth)), -1)
    importances, counts = np.zeros(len(data.names)), Counter[str]()
    columns = data.columns_of(variant)
    for split in splits:
        train = training_rows(data, variant, split)
        refuse_leaks(train, split.test_cells, data.networks)
        model = fit_forest(train.values[:, columns], train.classes, variant.balance, config, split.seed)
        tested = np.flatnonzero(np.isin(data.truth.cells, list(split.test_cells)))
        answers[split.repeat, tested] = _answers(data, variant, split, model, tested, columns)
        importances[columns] += model.importances / len(splits)
        counts.update(train.classes.tolist())
        done()
    return Outcome(variant, answers, importances, {name: n / len(splits) for name, n in counts.items()})


def training_rows(data: StudyData, variant: Variant, split: Split) -> LabelledRows:
    """Gather the rows a variant learns from in one fold.

    Raises
    ------
    ConfigError
        If it needs predicted shapes and none may be used.
    """
    truth = rows_for_training(data.truth, split.test_cells, data.networks)
    if variant.train == TRUE:
        return truth
    predicted = rows_for_training(data.predicted, split.test_cells, data.networks)
    if len(predicted) == 0:
        raise ConfigError(
            f"no predicted shape may be used when {min(split.test_cells)} and {len(split.test_cells) - 1} "
            "other cells are tested: every network behind them was trained on one of these. Predict the "
            "training cells of each fold by the network that never saw the fold (dispr study does)."
        )
    if variant.train == FILLED:
        return add_predicted(truth, predicted, data.minorities, np.random.default_rng(split.seed))
    return predicted


def _answers(
    data: StudyData,
    variant: Variant,
    split: Split,
    model: FittedForest,
    tested: NDArray[np.int64],
    columns: NDArray[np.int64],
) -> list[int]:
    """Give each tested cell the class that is most probable on average over its rows."""
    rows = data.predicted if variant.test == PREDICTED else data.truth
    rows = rows_for_testing(rows, split.test_cells, data.networks)
    probabilities = model.probabilities(rows.values[:, columns]) if len(rows) else np.zeros((0, 0))
    index = {name: place for place, name in enumerate(data.classes)}
    found = []
    for cell in data.truth.cells[tested]:
        own = probabilities[rows.cells == cell]
        # A cell without a usable shape gets the answer that no cell has, which counts as wrong.
        found.append(index[model.classes[int(own.mean(axis=0).argmax())]] if len(own) else len(index))
    return found
