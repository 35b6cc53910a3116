"""A cell's shapes as rows, and the choice among ways of using them."""

from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.study.forest import ForestConfig
from dispr_cli.study.rows import LabelledRows
from dispr_cli.study.ways import EACH, MEAN, SPREAD, Way, choose_way, fit_way, gathered

QUICK = ForestConfig(num_trees=20, num_selection_trees=10)


def some_rows() -> LabelledRows:
    cells = np.array(["b", "a", "b", "a"])
    values = np.array([[1.0, 5.0], [2.0, np.nan], [3.0, 9.0], [2.0, np.nan]])
    return LabelledRows(cells, np.array(["y", "x", "y", "x"]), np.array(["net"] * 4), values)


def test_the_mean_and_the_spread_of_a_cell() -> None:
    rows = some_rows()
    assert gathered(rows, EACH, 1) is rows
    mean = gathered(rows, MEAN, 1)
    assert (mean.cells.tolist(), mean.classes.tolist()) == (["a", "b"], ["x", "y"])
    np.testing.assert_array_equal(mean.values, [[2, np.nan], [2, 7]])
    np.testing.assert_array_equal(gathered(rows, SPREAD, 1).values, [[2, np.nan, 0], [2, 7, 1]])


def test_the_choice_finds_what_only_the_spread_tells() -> None:
    """Two classes with the same mean shape, one of which is drawn with a greater spread."""
    random = np.random.default_rng(0)
    cells = np.repeat([f"cell{number:02d}" for number in range(40)], 8)
    classes = np.array(["calm", "wild"])[np.repeat(np.arange(40) % 2, 8)]
    values = random.normal(size=(len(cells), 3)) * np.where(classes == "wild", 3.0, 1.0)[:, None]
    rows = LabelledRows(cells, classes, np.full(len(cells), "net"), values)
    ways = (Way(MEAN), Way(SPREAD))
    assert choose_way(ways, rows, 3, "none", QUICK, 0) == Way(SPREAD)
    assert choose_way(ways[:1], rows, 3, "none", QUICK, 0) == Way(MEAN)


@pytest.mark.parametrize("count", [1, 2])
def test_as_many_features_are_kept_as_asked_for(count: int) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(30, 6))
    classes = np.where(values[:, 4] > 0, "x", "y")
    rows = LabelledRows(np.array([str(n) for n in range(30)]), classes, np.full(30, ""), values)
    kept = fit_way(rows, Way(EACH, count), "none", QUICK, 0).kept
    assert len(kept) == count
    assert 4 in kept
