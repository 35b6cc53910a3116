"""Scores of several samples against the formulas written out, and against known distributions."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from dispr_cli.errors import ConfigError
from dispr_cli.shape.samples import (
    best_of_k,
    energy_distance_of,
    fair_crps,
    generalised_energy_distance,
    medoid,
    overlap_matrix,
    voxel_vote,
)


def crps_written_out(samples: np.ndarray, truth: float) -> float:
    num = len(samples)
    pairs = sum(abs(a - b) for i, a in enumerate(samples) for j, b in enumerate(samples) if i != j)
    return float(np.abs(samples - truth).mean() - pairs / (2 * num * (num - 1)))


def test_fair_crps_is_the_double_sum() -> None:
    random = np.random.default_rng(0)
    samples, truth = random.normal(size=(4, 6)), random.normal(size=4)
    expected = [crps_written_out(row, value) for row, value in zip(samples, truth, strict=True)]
    np.testing.assert_allclose(fair_crps(samples, truth), expected, rtol=1e-12)


@pytest.mark.parametrize("groups", [1, 3])
def test_scores_of_balanced_samples_are_those_of_independent_ones(groups: int) -> None:
    random = np.random.default_rng(4)
    truth = random.normal(size=40_000)
    raw = random.normal(size=(40_000, groups, 5))
    balanced = ((raw - raw.mean(-1, keepdims=True)) * np.sqrt(5 / 4)).reshape(40_000, -1)
    assert fair_crps(balanced, truth, balance=5).mean() == pytest.approx(1 / np.sqrt(np.pi), abs=0.01)
    # Without the allowance it would seem better than the truth's own distribution.
    assert groups > 1 or fair_crps(balanced, truth).mean() < 1 / np.sqrt(np.pi) - 0.05


def test_energy_distance_allows_for_balance_within_groups_only() -> None:
    with_truth, among = np.full(4, 0.5), np.full((4, 4), 0.6)
    np.fill_diagonal(among, 1.0)
    # Each sample has one partner in its group of two, whose distance counts sqrt(1 / 2), and two outside.
    expected = 1.0 - 0.4 * (np.sqrt(0.5) + 2.0) / 3.0
    assert energy_distance_of(with_truth, among, balance=2) == pytest.approx(expected)


def test_fair_crps_of_one_sample_is_the_absolute_error() -> None:
    assert fair_crps([3.0], 5.0) == 2.0


def test_fair_crps_does_not_depend_on_the_number_of_samples() -> None:
    random = np.random.default_rng(1)
    truth = random.normal(size=40_000)
    # For a forecast equal to the truth's distribution N(0, 1) the expectation is 1 / sqrt(pi).
    for num_samples in (2, 5, 20):
        samples = random.normal(size=(40_000, num_samples))
        assert fair_crps(samples, truth).mean() == pytest.approx(1 / np.sqrt(np.pi), abs=0.015)


def test_fair_crps_refuses_what_does_not_belong_together() -> None:
    with pytest.raises(ConfigError, match="shape"):
        fair_crps(np.zeros((4, 5)), np.zeros(5))
    with pytest.raises(ConfigError, match="shape"):
        fair_crps([], 1.0)


def cube(height: int) -> np.ndarray:
    return np.arange(6)[:, None, None] * np.ones((1, 3, 3)) < height


def test_energy_distance_written_out() -> None:
    truth, samples = cube(3), [cube(2), cube(4), cube(5)]
    with_truth = [1 - 2 / 3, 1 - 3 / 4, 1 - 3 / 5]
    among = [1 - 2 / 4, 1 - 2 / 5, 1 - 4 / 5]
    expected = 2 * np.mean(with_truth) - 2 * sum(among) / 6
    assert generalised_energy_distance(samples, truth) == pytest.approx(expected, rel=1e-12)


def test_energy_distance_of_one_sample_and_of_the_truth() -> None:
    assert generalised_energy_distance([cube(2)], cube(4)) == pytest.approx(1.0)
    assert generalised_energy_distance([cube(3)] * 4, cube(3)) == pytest.approx(0.0)
    with pytest.raises(ConfigError, match="no sample"):
        generalised_energy_distance([], cube(3))


def test_energy_distance_rewards_the_spread_of_the_truths_distribution() -> None:
    random = np.random.default_rng(2)

    def mean_score(spread: int) -> float:
        scores = []
        for _ in range(400):
            truth = cube(3 + random.integers(-2, 3))
            samples = [cube(3 + random.integers(-spread, spread + 1)) for _ in range(4)]
            scores.append(generalised_energy_distance(samples, truth))
        return float(np.mean(scores))

    assert mean_score(2) < mean_score(0)


def test_vote_is_the_share_of_samples() -> None:
    vote = voxel_vote([cube(1), cube(2), cube(4)])
    assert vote.dtype == np.float32
    np.testing.assert_allclose(vote[:, 0, 0], [1, 2 / 3, 1 / 3, 1 / 3, 0, 0])
    assert (vote > 0.5).sum() == cube(2).sum()
    with pytest.raises(ConfigError, match="no sample"):
        voxel_vote([])


def test_medoid_is_in_the_middle() -> None:
    assert medoid(overlap_matrix([cube(1), cube(3), cube(4), cube(6)])) in (1, 2)
    assert medoid(overlap_matrix([cube(2)])) == 0


@pytest.mark.parametrize("k", [1, 2, 4])
def test_best_of_k_is_the_mean_over_all_choices(k: int) -> None:
    scores = np.random.default_rng(0).random((3, 4))
    for higher, best in ((True, max), (False, min)):
        expected = [np.mean([best(chosen) for chosen in combinations(row, k)]) for row in scores]
        np.testing.assert_allclose(best_of_k(scores, k, higher_is_better=higher), expected, rtol=1e-12)


@pytest.mark.parametrize("k", [0, 5])
def test_best_of_more_than_there_are_is_refused(k: int) -> None:
    with pytest.raises(ConfigError, match="from 1 to M"):
        best_of_k([0.1, 0.2, 0.3, 0.4], k)
