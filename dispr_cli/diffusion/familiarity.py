"""How unlike the training cells a cell looks: a Mahalanobis distance with 1 at the edge of the familiar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import WeightsError
from dispr_cli.inputs.appearance import APPEARANCE, appearance
from dispr_cli.inputs.cell import Cell

FEWEST_CELLS = 30
"""Of fewer training cells no covariance of 14 numbers is worth having."""

MOST_UNLIKE = 999.0
_RIDGE = 0.1
_FOLDS = 5
_QUANTILE = 0.99


@dataclass(frozen=True)
class Familiarity:
    """What the training cells look like.

    Attributes
    ----------
    mean, sd
        (14,) of :data:`dispr_cli.inputs.appearance.APPEARANCE` over the training cells.
    correlation
        (14, 14) of the same.
    limit
        Distance of the training-like cell that 99 % of held-out training cells are nearer than.
    num_cells
        How many cells these numbers are of.
    """

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    correlation: NDArray[np.float64]
    limit: float
    num_cells: int

    def unlike(self, cell: Cell) -> float:
        """Score a cell: up to 1 for 99 of 100 cells like those trained on, more for others, at most 999.

        Depends on the cell's image and mask alone. A mask without a pixel gets 999.
        """
        numbers = appearance(cell)
        if numbers is None or not np.isfinite(numbers).all():
            return MOST_UNLIKE
        return min(MOST_UNLIKE, round(float(self._distances(numbers[None])[0]) / self.limit, 4))

    def _distances(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        standard = (numbers - self.mean) / self.sd
        squared: NDArray[np.float64] = ((standard @ self._precision) * standard).sum(axis=1)
        return np.asarray(np.sqrt(squared / len(self.mean)), np.float64)

    @cached_property
    def _precision(self) -> NDArray[np.float64]:
        # A ridge, since directions in which training cells hardly vary would else decide alone.
        ridged = self.correlation + _RIDGE * np.eye(len(self.mean))
        return np.asarray(np.linalg.inv(ridged), np.float64)

    def as_json(self) -> dict[str, Any]:
        """As :func:`familiarity_from` reads it."""
        return {
            "features": list(APPEARANCE),
            "cells": self.num_cells,
            "mean": self.mean.tolist(),
            "sd": self.sd.tolist(),
            "correlation": self.correlation.tolist(),
            "limit": self.limit,
        }


def fit_familiarity(cells: Sequence[Cell], seed: int = 0) -> Familiarity | None:
    """Learn what training cells look like; None for fewer than :data:`FEWEST_CELLS` cells.

    The limit is the 99th percentile of distances of cells that were held out of mean and correlation, in five
    folds: a cell is always nearer to numbers that it took part in.
    """
    described = [numbers for numbers in map(appearance, cells) if numbers is not None]
    if len(described) < FEWEST_CELLS:
        return None
    table = np.stack(described)
    fold = np.random.default_rng(seed).permutation(len(table)) % _FOLDS
    distances = np.concatenate(
        [_of(table[fold != k], 1.0)._distances(table[fold == k]) for k in range(_FOLDS)]
    )
    return _of(table, float(np.quantile(distances, _QUANTILE)))


def _of(table: NDArray[np.float64], limit: float) -> Familiarity:
    mean, sd = table.mean(axis=0), table.std(axis=0) + 1e-6
    standard = (table - mean) / sd
    return Familiarity(mean, sd, standard.T @ standard / len(table), limit, len(table))


def familiarity_from(values: Any, path: Any) -> Familiarity | None:
    """Rebuild from JSON; None if it is of features that this version does not compute.

    Raises
    ------
    WeightsError
        If numbers are missing, not finite or of another shape.
    """
    size = len(APPEARANCE)
    try:
        if values["features"] != list(APPEARANCE):
            return None
        mean, sd, correlation = (np.asarray(values[key], np.float64) for key in ("mean", "sd", "correlation"))
        found = Familiarity(mean, sd, correlation, float(values["limit"]), int(values["cells"]))
        arrays = (mean, sd, correlation)
        sound = [array.shape for array in arrays] == [(size,), (size,), (size, size)]
        sound = sound and all(np.isfinite(array).all() for array in arrays)
        if not (sound and 0 < found.limit < float("inf") and (found.sd > 0).all()):
            raise ValueError("numbers are out of range")
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: what the training cells look like is damaged ({error})") from error
    return found
