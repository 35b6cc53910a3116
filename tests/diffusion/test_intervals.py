"""Intervals that hold the truth as often as they say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dispr_cli.diffusion.intervals import _drawn_order, calibration_from, fit_intervals
from dispr_cli.errors import ConfigError, WeightsError


def too_sure(count: int, seed: int, samples: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Samples half as spread as their error, and too small by a tenth."""
    rng = np.random.default_rng(seed)
    middle = np.log(10_000.0) + 0.3 * rng.normal(size=count)
    drawn = middle[:, None] - 0.1 + 0.1 * rng.normal(size=(count, samples))
    return np.exp(drawn), np.exp(middle + 0.2 * rng.normal(size=count))


@pytest.mark.parametrize("size", [1, 2, 5, 10, 30])
def test_new_cells_lie_inside_as_often_as_it_says(size: int) -> None:
    calibration = fit_intervals(*too_sure(400, 0))
    drawn, truth = too_sure(3000, 1, samples=size)
    ends = np.array([calibration.interval(samples) for samples in drawn])
    assert np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])) == pytest.approx(0.8, abs=0.05)
    # As many below as above, though the samples are too small.
    assert np.mean(truth < ends[:, 0]) == pytest.approx(0.1, abs=0.04)
    assert np.mean(truth > ends[:, 1]) == pytest.approx(0.1, abs=0.04)


def balanced(count: int, groups: int, rng: np.random.Generator) -> np.ndarray:
    """Logarithms of the samples of cells, in groups of five that add up to nothing."""
    raw = rng.normal(size=(count, groups, 5))
    drawn = (raw - raw.mean(2, keepdims=True)) * np.sqrt(5 / 4)
    return 0.1 * drawn.reshape(count, -1)


@pytest.mark.parametrize("error", [0.5, 1.0, 2.0])
def test_balanced_samples_are_calibrated_as_they_are_drawn(error: float) -> None:
    rng, inside, inside_of_mixed = np.random.default_rng(0), [], []
    for _ in range(20):
        truth, new = (np.exp(0.1 * error * rng.normal(size=count)) for count in (200, 2000))
        learned, drawn = np.exp(balanced(200, 2, rng)), np.exp(balanced(2000, 1, rng))
        for balance, found in ((5, inside), (1, inside_of_mixed)):
            calibration = fit_intervals(learned, truth, balance=balance)
            ends = np.array([calibration.interval(samples) for samples in drawn])
            found.append(np.mean((ends[:, 0] <= new) & (new <= ends[:, 1])))
    assert np.mean(inside) == pytest.approx(0.8, abs=0.012)
    # Sets of five out of two groups have a mean that scatters, which those of a run do not.
    assert np.mean(inside_of_mixed) > np.mean(inside)


def test_subsets_are_whole_groups_and_members_of_one_more() -> None:
    order = _drawn_order((300, 13), 5, np.random.default_rng(0))
    assert (np.sort(order, axis=1) == np.arange(13)).all()
    groups = order // 5
    assert (groups[:, :5] == groups[:, :1]).all()
    assert (groups[:, 5:10] == groups[:, 5:6]).all()
    assert (groups[:, 10:] == 2).all()
    assert set(order[:, 0]) == set(range(10))
    assert set(_drawn_order((300, 3), 5, np.random.default_rng(0))[:, 0]) == {0, 1, 2}


def test_a_cell_whose_samples_scatter_has_a_wider_interval() -> None:
    calibration = fit_intervals(*too_sure(100, 0))
    calm = calibration.interval(10_000 * np.exp([-0.1, 0.0, 0.1]))
    wild = calibration.interval(10_000 * np.exp([-1.5, 0.0, 1.5]))
    assert calm is not None
    assert wild is not None
    assert wild[1] / wild[0] > 1.3 * calm[1] / calm[0]


def test_the_unit_does_not_matter() -> None:
    calibration = fit_intervals(*too_sure(50, 0))
    voxels, um3 = calibration.interval([9e3, 1e4, 1.2e4]), calibration.interval([9.0, 10.0, 12.0])
    assert voxels is not None
    assert um3 is not None
    assert np.allclose(np.array(voxels) / 1000, um3)


def test_an_empty_sample_has_no_interval_and_cannot_calibrate() -> None:
    drawn, truth = too_sure(50, 0)
    assert fit_intervals(drawn, truth).interval([100.0, 0.0]) is None
    drawn[3, 2] = 0.0
    with pytest.raises(ConfigError, match="empty"):
        fit_intervals(drawn, truth)


def test_too_few_cells_are_refused() -> None:
    drawn, truth = too_sure(8, 0)
    with pytest.raises(ConfigError, match="8 cells are too few"):
        fit_intervals(drawn, truth)


def test_it_comes_back_from_json_and_damage_is_told() -> None:
    calibration = fit_intervals(*too_sure(50, 0))
    content = json.loads(json.dumps(calibration.as_json()))
    assert calibration_from(content, "x") == calibration
    for broken in ({"low": []}, {"typical": 0.0}, {"high": content["low"]}, {"coverage": "x"}):
        with pytest.raises(WeightsError, match=r"a\.json"):
            calibration_from({**content, **broken}, "a.json")
