"""Scores of several samples against one truth: whether they are right, and whether their spread is honest."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dispr_cli.errors import ConfigError


def fair_crps(samples: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    """Score numbers drawn from a distribution against the true number (continuous ranked probability score).

    ``mean |x_m - y| - sum_{m != j} |x_m - x_j| / (2 M (M - 1))``: the fair form, whose expectation does not
    depend on M (Gneiting & Raftery 2007; Ferro 2014). For one sample it is the absolute error, so
    deterministic methods compare.

    Parameters
    ----------
    samples
        (..., M): M samples of a quantity (volume, surface area, z-extent) for each cell.
    truth
        (...): the true values.

    Returns
    -------
    ndarray
        (...): scores in the quantity's unit, 0-dimensional for a single cell; smaller is better, and a
        lucky narrow bracket of the truth can fall below 0.

    Raises
    ------
    ConfigError
        If there is no sample, or the shapes do not belong together.
    """
    drawn, true = _paired(samples, truth)
    num_samples = drawn.shape[-1]
    distance = np.abs(drawn - true[..., None]).mean(axis=-1)
    if num_samples == 1:
        return distance
    # Over sorted samples the sum over ordered pairs is 2 sum_k (2 k - M + 1) x_(k), k from 0.
    ranks = 2.0 * np.arange(num_samples) - num_samples + 1
    spread = (np.sort(drawn, axis=-1) * ranks).sum(axis=-1) / (num_samples * (num_samples - 1))
    return distance - spread


def _paired(samples: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    drawn, true = np.asarray(samples, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if drawn.ndim == 0 or drawn.shape[-1] == 0 or drawn.shape[:-1] != true.shape:
        raise ConfigError(
            f"The samples have shape {drawn.shape} and the true values {true.shape}; (..., M) with M >= 1 "
            "and (...) were expected."
        )
    return drawn, true
