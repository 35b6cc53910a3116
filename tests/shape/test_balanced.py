"""Allowances for balanced samples, against simulated ones."""

from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.shape.balanced import honest_ranks, independence, noise_of_mean
from dispr_cli.shape.calibration import interval_coverage, spread_skill_ratio


def balanced(cells: int, num_samples: int, group: int, seed: int = 0) -> np.ndarray:
    raw = np.random.default_rng(seed).normal(size=(cells, -(-num_samples // group), group))
    if group > 1:
        raw = (raw - raw.mean(2, keepdims=True)) * np.sqrt(group / (group - 1))
    return raw.reshape(cells, -1)[:, :num_samples]


def test_independent_samples_need_no_allowance() -> None:
    assert np.array_equal(independence(4, 1), np.ones((4, 4)))
    assert noise_of_mean(5, 1) == 0.2
    assert honest_ranks(5, 1) == (1 / 6,) * 6


def test_only_samples_of_one_group_are_brought_nearer() -> None:
    factors = independence(5, 3)
    assert factors[0, 2] == factors[3, 4] == pytest.approx(np.sqrt(2 / 3))
    assert factors[2, 3] == factors[0, 4] == 1.0


@pytest.mark.parametrize(("num_samples", "group"), [(5, 5), (3, 5), (10, 5), (7, 5), (4, 2), (3, 1)])
def test_the_noise_of_the_mean_is_that_of_simulated_samples(num_samples: int, group: int) -> None:
    means = balanced(50_000, num_samples, group).mean(1)
    assert noise_of_mean(num_samples, group) == pytest.approx(means.var(), abs=0.01)


@pytest.mark.parametrize(("num_samples", "group"), [(5, 5), (3, 5), (10, 5), (5, 1)])
def test_an_honest_spread_is_called_honest(num_samples: int, group: int) -> None:
    samples = balanced(50_000, num_samples, group)
    truth = np.random.default_rng(1).normal(size=50_000)
    nominal, observed = interval_coverage(samples, truth, group)
    np.testing.assert_allclose(observed, nominal, atol=0.01)
    assert spread_skill_ratio(samples, truth, group) == pytest.approx(1.0, abs=0.01)


def test_extremes_of_five_balanced_samples_span_more() -> None:
    ranks = np.array(honest_ranks(5, 5))
    assert ranks.sum() == pytest.approx(1.0)
    assert np.array_equal(ranks, ranks[::-1])
    assert ranks[1:-1].sum() == pytest.approx(0.747, abs=0.003)
