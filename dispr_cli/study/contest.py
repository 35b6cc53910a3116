"""Every variant on the same folds: what each says of every cell when it is tested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import ConfigError
from dispr_cli.study.balance import add_predicted
from dispr_cli.study.forest import ForestConfig
from dispr_cli.study.networks import NetworkRecord
from dispr_cli.study.rows import (
    LabelledRows,
    refuse_leaks,
    rows_for_testing,
    rows_for_training,
    rows_of_unseen_cells,
)
from dispr_cli.study.splits import Split
from dispr_cli.study.spread import add_varied
from dispr_cli.study.variants import FILLED, PLANE, PREDICTED, SHAPE, STACKED, TRUE, VARIED, Variant
from dispr_cli.study.ways import Way, answers_by_cell, choose_way, fit_way, gathered


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
    chosen
        In how many folds each way of using rows and features was chosen.
    """

    variant: Variant
    answers: NDArray[np.int64]
    importances: NDArray[np.float64]
    train_counts: dict[str, float]
    chosen: dict[str, int]


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
    importances, counts, chosen = np.zeros(len(data.names)), Counter[str](), Counter[str]()
    columns = data.columns_of(variant)
    num_spread = 0 if variant.features == PLANE else data.num_shape_features
    ways: dict[frozenset[str], Way] = {}
    for split in splits:
        rows = training_rows(data, variant, split)
        refuse_leaks(rows, split.test_cells, data.networks, stacked=variant.train == STACKED)
        rows = rows.columns(columns)
        if split.test_cells not in ways:
            ways[split.test_cells] = choose_way(
                variant.ways, rows, num_spread, variant.balance, config, split.seed
            )
        way = ways[split.test_cells]
        train = gathered(rows, way.samples, num_spread)
        model = fit_way(train, way, variant.balance, config, split.seed)
        tested = np.flatnonzero(np.isin(data.truth.cells, list(split.test_cells)))
        source = data.predicted if variant.test == PREDICTED else data.truth
        shown = rows_for_testing(source, split.test_cells, data.networks).columns(columns)
        answers[split.repeat, tested] = answers_by_cell(
            model, gathered(shown, way.samples, num_spread), data.truth.cells[tested], data.classes
        )
        found = model.importances
        importances[columns] += found[: len(columns)] / len(splits)
        # What a feature's spread over the samples tells is counted as the feature's.
        importances[: len(found) - len(columns)] += found[len(columns) :] / len(splits)
        counts.update(train.classes.tolist())
        chosen[str(way)] += 1
        done()
    rows_by_class = {name: number / len(splits) for name, number in counts.items()}
    return Outcome(variant, answers, importances, rows_by_class, dict(chosen))


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
    if variant.train == STACKED:
        others = data.predicted.where(~np.isin(data.predicted.cells, list(split.test_cells)))
        predicted = rows_of_unseen_cells(others, data.networks)
    else:
        predicted = rows_for_training(data.predicted, split.test_cells, data.networks)
    if len(predicted) == 0:
        raise ConfigError(
            f"no predicted shape may be used when {min(split.test_cells)} and {len(split.test_cells) - 1} "
            "other cells are tested: every network behind them was trained on one of these. Predict the "
            "training cells of each fold by the network that never saw the fold (dispr study does)."
        )
    if variant.train == VARIED:
        return add_varied(truth, predicted, np.random.default_rng(split.seed))
    if variant.train == FILLED:
        return add_predicted(truth, predicted, data.minorities, np.random.default_rng(split.seed))
    return predicted
