"""Calibration scores of forecasts that are honest, too sure, or too cautious by construction."""

from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.errors import CellError, ConfigError
from dispr_cli.shape.calibration import (
    interval_coverage,
    rank_histogram,
    spread_skill_ratio,
    voxel_reliability,
)

CELLS, SAMPLES = 20_000, 5


def drawn(spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Truths around a known centre with sd 1, and samples around it with another sd."""
    random = np.random.default_rng(7)
    centre = random.normal(size=(CELLS, 1)) * 10
    return centre + spread * random.normal(size=(CELLS, SAMPLES)), (centre + random.normal(size=(CELLS, 1)))[
        :, 0
    ]


def test_honest_samples() -> None:
    samples, truth = drawn(1.0)
    nominal, observed = interval_coverage(samples, truth)
    np.testing.assert_allclose(nominal, [4 / 6, 2 / 6])
    np.testing.assert_allclose(observed, nominal, atol=0.015)
    np.testing.assert_allclose(rank_histogram(samples, truth) / CELLS, 1 / 6, atol=0.012)
    assert spread_skill_ratio(samples, truth) == pytest.approx(1, abs=0.02)


def test_samples_that_are_too_sure() -> None:
    samples, truth = drawn(0.2)
    assert (interval_coverage(samples, truth)[1] < [0.25, 0.1]).all()
    ranks = rank_histogram(samples, truth)
    assert ranks[[0, -1]].min() > 5 * ranks[1:-1].max()
    assert spread_skill_ratio(samples, truth) < 0.25


def test_samples_that_are_too_cautious() -> None:
    samples, truth = drawn(4.0)
    assert interval_coverage(samples, truth)[1][0] > 0.9
    assert spread_skill_ratio(samples, truth) > 1.5


def test_ties_get_random_ranks_and_the_seed_fixes_them() -> None:
    samples, truth = np.zeros((6000, 2)), np.zeros(6000)
    ranks = rank_histogram(samples, truth)
    np.testing.assert_allclose(ranks / 6000, 1 / 3, atol=0.03)
    np.testing.assert_array_equal(ranks, rank_histogram(samples, truth))
    assert (ranks != rank_histogram(samples, truth, seed=1)).any()
    assert interval_coverage(samples, truth)[1] == 1.0


def test_one_sample_has_no_spread() -> None:
    nominal, observed = interval_coverage(np.ones((3, 1)), np.zeros(3))
    assert len(nominal) == len(observed) == 0
    assert spread_skill_ratio(np.ones((3, 1)), np.zeros(3)) == 0.0
    assert rank_histogram(np.ones((3, 1)), np.zeros(3)).tolist() == [3, 0]


def test_perfect_means() -> None:
    assert np.isnan(spread_skill_ratio(np.ones((3, 2)), np.ones(3)))
    assert spread_skill_ratio(np.array([[0.0, 2.0]]), np.ones(1)) == np.inf


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    for samples, truth in ((np.ones(3), 1.0), (np.ones((0, 2)), np.ones(0)), (np.ones((2, 3)), np.ones(3))):
        with pytest.raises(ConfigError, match="shape"):
            rank_histogram(samples, truth)


def cubes(*heights: int) -> list[np.ndarray]:
    return [np.arange(4)[:, None, None] * np.ones((1, 2, 2)) < height for height in heights]


def test_voxels_by_votes() -> None:
    (truth,) = cubes(2)
    reliability = voxel_reliability(cubes(1, 3), truth)
    assert reliability.voxels.tolist() == [4, 8, 4]
    assert reliability.hits.tolist() == [0, 4, 4]
    np.testing.assert_allclose(reliability.observed, [0, 0.5, 1])
    assert reliability.brier_score == pytest.approx(8 * 0.25 / 16)
    assert reliability.fair_brier_score == pytest.approx(0.0)
    assert reliability.calibration_error == 0.0


def test_brier_is_the_mean_square() -> None:
    random = np.random.default_rng(0)
    truth, samples = random.random((6, 6, 6)) < 0.4, list(random.random((5, 6, 6, 6)) < 0.5)
    expected = ((np.mean(samples, axis=0) - truth) ** 2).mean()
    reliability = voxel_reliability(samples, truth)
    assert reliability.brier_score == pytest.approx(expected)
    # The samples say 1/2 everywhere and know nothing: the truth has 0.4 of the voxels, so 0.1² + 0.4 * 0.6.
    assert reliability.fair_brier_score == pytest.approx(0.25, abs=0.03)
    pooled = reliability + reliability
    assert pooled.brier_score == pytest.approx(expected)
    assert pooled.voxels.sum() == 2 * truth.size


def test_nothing_is_taken_off_the_votes_of_balanced_samples_nor_off_their_pool() -> None:
    (truth,) = cubes(2)
    balanced = voxel_reliability(cubes(1, 3), truth, balance=5)
    assert balanced.fair_brier_score == balanced.brier_score == pytest.approx(8 * 0.25 / 16)
    pooled = balanced + balanced
    assert pooled.fair_brier_score == pooled.brier_score == balanced.brier_score
    with pytest.raises(ConfigError, match="groups of 5 and of 1"):
        balanced + voxel_reliability(cubes(1, 3), truth)


def test_voxels_of_failures() -> None:
    (truth, nothing) = cubes(2, 0)
    assert np.isnan(voxel_reliability([nothing], truth).calibration_error)
    assert voxel_reliability([nothing], truth).fair_brier_score == 0.5
    with pytest.raises(CellError, match="no voxel"):
        voxel_reliability([truth], nothing)
    with pytest.raises(ConfigError, match="no sample"):
        voxel_reliability([], truth)
    with pytest.raises(ConfigError, match="pooled"):
        voxel_reliability([truth], truth) + voxel_reliability([truth, truth], truth)
