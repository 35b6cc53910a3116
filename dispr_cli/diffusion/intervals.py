"""Intervals that hold the true volume or surface area as often as they say, from few samples.

Samples alone are too sure, and their spread hardly tells which held-out cell is wrong (docs/trust.md). So the
interval is split-conformal (Vovk et al. 2005; Lei et al. 2018) in the logarithm: around the samples'
mean, from ``low`` to ``high`` spreads away, where the spread is that of the cell's samples drawn towards the
typical one, and low and high are quantiles of what held-out cells showed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dispr_cli.errors import ConfigError, WeightsError

TYPICAL_WEIGHT = 30.0
"""Degrees of freedom that the typical spread counts beside the S - 1 of a cell's own."""

_SUBSETS = 40


@dataclass(frozen=True)
class IntervalCalibration:
    """How far the truth lies from the mean of S samples, in spreads.

    Attributes
    ----------
    coverage
        Share of the cells whose truth is to lie inside; as many fall below as above.
    typical
        Spread of ln(quantity) over the samples of a typical cell.
    low, high
        Item S - 1 is for S samples; the last is for more.
    num_cells
        Held-out cells that these numbers are of.
    """

    coverage: float
    typical: float
    low: tuple[float, ...]
    high: tuple[float, ...]
    num_cells: int

    def interval(self, samples: ArrayLike) -> tuple[float, float] | None:
        """Lower and upper end for one cell's samples (S,), in their unit; None if one of them is empty."""
        values = np.asarray(samples, np.float64)
        if len(values) == 0 or not (values > 0).all():
            return None
        logs = np.log(values)[None]
        counted = min(len(values), len(self.low))
        middle, spread = float(logs.mean()), float(spreads(logs, self.typical, len(self.low))[0])
        ends = np.exp([middle + side[counted - 1] * spread for side in (self.low, self.high)])
        return float(ends[0]), float(ends[1])

    def as_json(self) -> dict[str, Any]:
        """As :func:`calibration_from` reads it."""
        return {
            "coverage": self.coverage,
            "typical": self.typical,
            "low": list(self.low),
            "high": list(self.high),
            "cells": self.num_cells,
        }


def spreads(logs: NDArray[np.float64], typical: float, most: int) -> NDArray[np.float64]:
    """Spread of each cell's samples (N, S), drawn towards the typical one; beyond `most` S counts no more."""
    own = min(logs.shape[1], most) - 1
    variance = logs.var(axis=1, ddof=1) if logs.shape[1] > 1 else np.zeros(len(logs))
    drawn: NDArray[np.float64] = np.sqrt(
        (TYPICAL_WEIGHT * typical**2 + own * variance) / (TYPICAL_WEIGHT + own)
    )
    return drawn


def fit_intervals(
    samples: ArrayLike, truth: ArrayLike, coverage: float = 0.8, seed: int = 0, balance: int = 1
) -> IntervalCalibration:
    """Calibrate on cells that the network was not trained on.

    Parameters
    ----------
    samples
        (N, M) positive: M samples of a quantity for each cell, in the order they were drawn. Calibrates for 1
        to M samples, by subsets as a run draws them: whole groups, then members of one more.
    truth
        (N,) true values.
    coverage
        Share of new cells of the same kind that the interval is to hold.
    seed
        Of the subsets.
    balance
        Samples of a cell that follow and balance each other, see :mod:`dispr_cli.diffusion.noise`. Five of
        one group say more of their mean than five out of two groups.

    Raises
    ------
    ConfigError
        If a number is not positive, there is one sample only, or too few cells for this coverage.
    """
    drawn, true = np.asarray(samples, np.float64), np.asarray(truth, np.float64)
    if drawn.ndim != 2 or true.shape != drawn.shape[:1] or drawn.shape[1] < 2:
        raise ConfigError(
            f"samples {drawn.shape} and truths {true.shape}: expected (cells, 2 or more) and (cells,)"
        )
    tail = (1.0 - coverage) / 2.0
    if not tail * (len(true) + 1) - 1 > 0.0 or not 0.0 < coverage < 1.0:
        raise ConfigError(f"{len(true)} cells are too few for intervals that hold {100 * coverage:.0f} %")
    if not ((drawn > 0).all() and (true > 0).all()):
        raise ConfigError("an empty sample or truth has no logarithm: leave that cell out")
    logs, target, random = np.log(drawn), np.log(true), np.random.default_rng(seed)
    typical, most = float(np.sqrt(logs.var(axis=1, ddof=1).mean())), drawn.shape[1]
    ends = []
    for size in range(1, most + 1):
        found = []
        for _ in range(_SUBSETS if size < most else 1):
            chosen = np.take_along_axis(logs, _drawn_order(logs.shape, balance, random)[:, :size], axis=1)
            away = (target - chosen.mean(axis=1)) / spreads(chosen, typical, most)
            # Weibull's plotting position: a new cell falls below the k-th of N with probability k / (N + 1).
            found.append(np.quantile(away, [tail, 1.0 - tail], method="weibull"))
        ends.append(np.mean(found, axis=0))
    low, high = (tuple(float(end[side]) for end in ends) for side in (0, 1))
    return IntervalCalibration(coverage, typical, low, high, len(true))


def _drawn_order(shape: tuple[int, ...], balance: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Order each cell's samples (N, M) at random, group by group; a group that is not whole stays last."""
    num_cells, num_samples = shape
    groups = np.arange(num_samples) // balance
    whole = num_samples // balance
    drawn = random.random((num_cells, groups[-1] + 1))
    drawn[:, whole:] = 1.0
    place = drawn.argsort(axis=1).argsort(axis=1)
    order: NDArray[np.int64] = (place[:, groups] + random.random(shape)).argsort(axis=1)
    return order


def calibration_from(values: Any, path: Any) -> IntervalCalibration:
    """Rebuild from JSON.

    Raises
    ------
    WeightsError
        If numbers are missing or make no sense.
    """
    try:
        low, high = (tuple(float(number) for number in values[side]) for side in ("low", "high"))
        found = IntervalCalibration(
            float(values["coverage"]), float(values["typical"]), low, high, int(values["cells"])
        )
        sound = len(low) == len(high) > 0 and all(-1e3 < a < b < 1e3 for a, b in zip(low, high, strict=True))
        if not (sound and 0 < found.coverage < 1 and 0 < found.typical < 1e3):
            raise ValueError("numbers are out of range")
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: the calibration of its intervals is damaged ({error})") from error
    return found
