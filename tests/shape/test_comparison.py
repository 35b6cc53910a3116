"""Summaries of methods and comparisons of pairs, from cells whose scores are known."""

from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.errors import ConfigError
from dispr_cli.shape.comparison import SCORES, cell_scores, compare, summarise_method
from dispr_cli.shape.measures import CellScores, measure_cell
from tests.shape.solids import ball

RADII = {"a1": 6.0, "a2": 6.6, "a3": 7.1, "b1": 7.5, "b2": 8.2, "b3": 8.8}
CLASSES = {name: name[0] for name in RADII}


def scored(*offsets: float) -> dict[str, CellScores]:
    """Reconstruct each ball with radii that are off by so much."""
    return {
        name: measure_cell(
            ball(radius, 24), [ball(radius + offset, 24) for offset in offsets], tangent_sphere=False
        )
        for name, radius in RADII.items()
    }


@pytest.fixture(scope="module")
def spread() -> dict[str, CellScores]:
    return scored(-0.6, 0.1, 0.7)


@pytest.fixture(scope="module")
def small() -> dict[str, CellScores]:
    return scored(-0.8)


def test_one_number_for_each_score(spread: dict[str, CellScores]) -> None:
    values, cell = cell_scores(spread["a1"]), spread["a1"]
    overlaps = [sample["iou"] for sample in cell.samples]
    assert values["iou"] == pytest.approx(np.mean(overlaps))
    assert values["best_iou"] == max(overlaps)
    assert values["best_volume_error"] == min(sample["volume_error"] for sample in cell.samples)
    assert values["vote_iou"] == cell.vote["iou"]
    assert values["medoid_iou"] == overlaps[cell.medoid] == overlaps[1]
    assert values["ged_squared"] == cell.together["ged_squared"]
    assert set(SCORES) <= set(values)


def test_a_method_over_its_cells(spread: dict[str, CellScores]) -> None:
    summary = summarise_method(spread, CLASSES)
    assert set(summary.summaries["iou"]) == {"all", "a", "b", "macro"}
    assert summary.summaries["iou"]["a"].count == 3
    assert (summary.failures, summary.samples) == (0, 18)
    assert summary.calibration["volume"].nominal.tolist() == [0.5]
    assert summary.calibration["volume"].observed.tolist() == [1.0]
    assert summary.calibration["volume"].ranks.tolist() == [0, 6, 0, 0]
    assert summary.calibration["volume"].spread_skill > 1
    assert summary.reliability is not None
    assert summary.reliability.voxels.sum() == 6 * 24**3


def test_failures_count_and_stay_in_the_averages(spread: dict[str, CellScores]) -> None:
    truth = ball(RADII["a1"], 24)
    failed = spread | {"a1": measure_cell(truth, [np.zeros_like(truth)] * 3, tangent_sphere=False)}
    summary = summarise_method(failed, CLASSES)
    assert (summary.failures, summary.samples) == (3, 18)
    assert summary.summaries["iou"]["all"].count == 6
    assert (
        summary.summaries["iou"]["a"].mean
        < 0.7 * summarise_method(spread, CLASSES).summaries["iou"]["a"].mean
    )


def test_cells_of_different_numbers_of_samples_are_not_pooled(spread, small) -> None:
    summary = summarise_method(spread | {"a1": small["a1"]}, CLASSES)
    assert summary.calibration == {}
    assert summary.reliability is None
    assert summary.summaries["iou"]["all"].count == 6


def test_pairs_on_the_cells_they_share(spread, small) -> None:
    fewer = {name: cell for name, cell in small.items() if name != "b3"}
    (overlap,) = compare({"spread": spread, "small": fewer}, ["iou"])["iou"]
    assert (overlap.first, overlap.second, overlap.count) == ("spread", "small", 5)
    assert 0 < overlap.low <= overlap.difference <= overlap.high
    assert overlap.p_value == pytest.approx(2 / 2**5)
    assert set(compare({"spread": spread, "small": fewer})) == set(SCORES)


def test_methods_that_share_no_cell(spread, small) -> None:
    (nothing,) = compare({"spread": {"a1": spread["a1"]}, "small": {"b1": small["b1"]}}, ["dice"])["dice"]
    assert nothing.count == 0
    assert np.isnan([nothing.difference, nothing.low, nothing.high]).all()


def test_what_makes_no_sense_is_refused(spread) -> None:
    with pytest.raises(ConfigError, match="no cell"):
        summarise_method({}, {})
    with pytest.raises(ConfigError, match="b3 and 0 others have no class"):
        summarise_method(spread, {name: "a" for name in RADII if name != "b3"})
    with pytest.raises(ConfigError, match="no score named beauty"):
        compare({"spread": spread, "again": spread}, ["beauty"])
