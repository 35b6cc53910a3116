"""Scores of several samples against the formulas written out, and against known distributions."""

from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.errors import ConfigError
from dispr_cli.shape.samples import fair_crps


def crps_written_out(samples: np.ndarray, truth: float) -> float:
    num = len(samples)
    pairs = sum(abs(a - b) for i, a in enumerate(samples) for j, b in enumerate(samples) if i != j)
    return float(np.abs(samples - truth).mean() - pairs / (2 * num * (num - 1)))


def test_fair_crps_is_the_double_sum() -> None:
    random = np.random.default_rng(0)
    samples, truth = random.normal(size=(4, 6)), random.normal(size=4)
    expected = [crps_written_out(row, value) for row, value in zip(samples, truth, strict=True)]
    np.testing.assert_allclose(fair_crps(samples, truth), expected, rtol=1e-12)


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
