"""Averages and tests against SciPy and known cases."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wilcoxon

from dispr_cli.errors import ConfigError
from dispr_cli.shape.statistics import (
    compare_methods,
    holm_adjusted,
    paired_bootstrap,
    summarise,
    summarise_by_class,
    wilcoxon_p_value,
)


def test_summary_leaves_out_nan_only() -> None:
    summary = summarise([1.0, np.nan, 2.0, 6.0])
    assert (summary.count, summary.mean, summary.median) == (3, 3.0, 2.0)
    assert summary.sd == pytest.approx(np.std([1, 2, 6], ddof=1))
    assert summarise([1.0, np.inf, 3.0]).mean == np.inf
    assert summarise([1.0, np.inf, 3.0]).median == 3.0


def test_summary_of_little() -> None:
    assert np.isnan(summarise([4.0]).sd)
    assert summarise([4.0]).mean == 4.0
    assert summarise([]).count == summarise([np.nan]).count == 0
    assert np.isnan(summarise([]).mean)


def test_macro_counts_each_class_once() -> None:
    table = summarise_by_class([1.0, 1.0, 1.0, 5.0], ["a", "a", "a", "b"])
    assert (table["all"].mean, table["a"].mean, table["b"].mean) == (2.0, 1.0, 5.0)
    assert (table["macro"].mean, table["macro"].count) == (3.0, 2)
    with pytest.raises(ConfigError, match="one for each"):
        summarise_by_class([1.0], ["a", "b"])


def test_bootstrap_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        low, high = paired_bootstrap(random.normal(0.3, 1, 60), resamplings=400, seed=trial)
        hits += low <= 0.3 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_bootstrap_is_seeded() -> None:
    values = np.random.default_rng(1).normal(size=30)
    assert paired_bootstrap(values) == paired_bootstrap(values)
    assert paired_bootstrap(values) != paired_bootstrap(values, seed=1)
    assert np.isnan(paired_bootstrap([])).all()
    assert paired_bootstrap([0.5]) == (0.5, 0.5)


@pytest.mark.parametrize("count", [8, 40])
def test_wilcoxon_is_scipys(count: int) -> None:
    values = np.random.default_rng(count).normal(0.4, 1, count)
    assert wilcoxon_p_value(values) == pytest.approx(wilcoxon(values).pvalue, rel=1e-9)


def test_wilcoxon_without_differences() -> None:
    assert wilcoxon_p_value(np.zeros(5)) == wilcoxon_p_value([]) == 1.0
    assert 0 < wilcoxon_p_value([1.0, 1.0, 1.0, -1.0, 0.0]) <= 1


def test_every_pair_on_the_cells_both_have() -> None:
    random = np.random.default_rng(5)
    better = random.normal(size=50)
    scores = {"ours": better, "worse": better + 1 + random.normal(size=50) / 4, "same": better.copy()}
    scores["worse"][:3] = np.nan
    first, second, third = compare_methods(scores)
    assert [(c.first, c.second) for c in (first, second, third)] == [
        ("ours", "worse"), ("ours", "same"), ("worse", "same"),
    ]  # fmt: skip
    assert (first.count, second.count) == (47, 50)
    assert first.low <= first.difference <= first.high < 0
    assert first.p_value < first.adjusted_p_value < 1e-6
    assert (second.difference, second.low, second.high, second.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_holm() -> None:
    assert holm_adjusted([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm_adjusted([0.9, 0.8]) == [1.0, 1.0]
    assert holm_adjusted([]) == []


def test_tables_of_different_cells_are_refused() -> None:
    with pytest.raises(ConfigError, match="different cells"):
        compare_methods({"a": [1.0], "b": [1.0, 2.0]})
