"""True shapes that vary as predicted ones do: what is added, and that the network's error is not."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from dispr_cli.study.rows import LabelledRows
from dispr_cli.study.spread import add_varied, deviations

CELLS, FEATURES = 400, 3
KERNEL = np.array([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 0.2]])
"""Turns white noise into the spread of a cell's samples; its covariance is KERNEL KERNEL^T."""


def drawn(samples: int, error: float, classes: int = 2) -> tuple[LabelledRows, LabelledRows]:
    """True shapes, and samples that vary around each image's mean as the truth does, all off by an error."""
    random = np.random.default_rng(3)
    cells = np.array([f"c{number:03d}" for number in range(CELLS)])
    names = np.array([f"k{number % classes}" for number in range(CELLS)])
    image = 5 * random.normal(size=(CELLS, FEATURES))
    truth = LabelledRows(
        cells, names, np.full(CELLS, ""), image + random.normal(size=(CELLS, FEATURES)) @ KERNEL.T
    )
    place = np.tile(np.arange(CELLS), samples)
    values = image[place] + random.normal(size=(len(place), FEATURES)) @ KERNEL.T + error
    return truth, LabelledRows(cells[place], names[place], np.full(len(place), "net"), values)


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_the_spread_is_that_of_one_image_whatever_the_error(samples: int) -> None:
    truth, predicted = drawn(samples, error=40.0)
    found = deviations(truth, predicted)
    assert len(found) == samples * CELLS
    np.testing.assert_allclose(found.values.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.cov(found.values.T, ddof=0), KERNEL @ KERNEL.T, atol=0.12)


def test_a_cell_drawn_once_among_others_tells_nothing() -> None:
    truth, predicted = drawn(2, error=0.0)
    found = deviations(truth, predicted.where(np.arange(CELLS + 10)))
    assert sorted(found.cells.tolist()) == sorted([f"c{number:03d}" for number in range(10)] * 2)
    other = LabelledRows(
        predicted.cells, predicted.classes, np.repeat(["a", "b"], CELLS), predicted.values + 100
    )
    np.testing.assert_allclose(
        np.cov(deviations(truth, other).values.T, ddof=0), KERNEL @ KERNEL.T, atol=0.12
    )


def test_classes_are_filled_with_varied_true_shapes() -> None:
    truth, predicted = drawn(3, error=7.0, classes=3)
    kept = truth.where((truth.classes != "k2") | (np.arange(CELLS) < 30))
    only = predicted.where(np.isin(predicted.cells, kept.cells) & (predicted.classes != "k1"))
    filled = add_varied(kept, only, np.random.default_rng(0))
    counts = Counter(kept.classes.tolist())
    assert set(Counter(filled.classes.tolist()).values()) == {max(counts.values())}
    np.testing.assert_array_equal(filled.values[: len(kept)], kept.values)
    own = dict(zip(kept.cells.tolist(), kept.values, strict=True))
    added = filled.where(np.arange(len(kept), len(filled)))
    away = added.values - np.stack([own[cell] for cell in added.cells.tolist()])
    possible = {tuple(np.round(row, 6)) for row in deviations(kept, only).values}
    assert {tuple(np.round(row, 6)) for row in away} <= possible
    assert set(added.networks.tolist()) == {"net"}


def test_missing_values_vary_nothing_and_stay_missing() -> None:
    truth, predicted = drawn(2, error=0.0)
    truth.values[:, 1], predicted.values[::2, 2] = np.nan, np.nan
    found = deviations(truth, predicted)
    assert np.isfinite(found.values).all()
    few = truth.where((truth.classes == "k0") | (np.arange(CELLS) < 20))
    filled = add_varied(few, predicted, np.random.default_rng(0))
    assert np.isnan(filled.values[:, 1]).all()
    assert np.isfinite(filled.values[:, [0, 2]]).all()
