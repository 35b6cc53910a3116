"""Samples that are all the same are measured once, with the numbers of all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dispr_cli.scoring import cells
from dispr_cli.scoring.cells import score_samples
from dispr_cli.shape.measures import CellScores, measure_cell
from tests.scoring.stores import ball


def assert_equal_scores(one: CellScores, other: CellScores) -> None:
    for mine, theirs in ((one.truth, other.truth), (one.vote, other.vote), (one.together, other.together)):
        assert mine == pytest.approx(theirs, nan_ok=True, rel=1e-12)
    assert one.samples == other.samples
    assert one.medoid == other.medoid
    assert np.array_equal(one.reliability.voxels, other.reliability.voxels)
    assert np.array_equal(one.reliability.hits, other.reliability.hits)


@pytest.mark.parametrize("radius", [7.0, 0.0])
def test_equal_samples_score_as_if_each_was_measured(radius: float) -> None:
    truth = ball(8)
    samples = np.stack([ball(radius) * (radius > 0)] * 4)
    assert_equal_scores(score_samples(truth, samples, 0.2), measure_cell(truth, list(samples), (0.2,) * 3))


def test_equal_samples_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []

    def counting(truth: np.ndarray, samples: list[np.ndarray], *rest: Any, **options: Any) -> CellScores:
        counts.append(len(samples))
        return measure_cell(truth, samples, *rest, **options)

    monkeypatch.setattr(cells, "measure_cell", counting)
    score_samples(ball(8), np.stack([ball(7)] * 5), 1.0)
    score_samples(ball(8), np.stack([ball(7), ball(7), ball(7.5)]), 1.0)
    assert counts == [1, 3]
