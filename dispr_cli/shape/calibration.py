"""Whether the spread of samples is honest: coverage, ranks, spread and skill, voxels' probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dispr_cli.errors import ConfigError
from dispr_cli.shape.balanced import honest_ranks, independence, noise_of_mean
from dispr_cli.shape.errors import foreground_pair
from dispr_cli.shape.samples import paired_with_truth


def interval_coverage(
    samples: ArrayLike, truth: ArrayLike, balance: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count how often the truth lies within the central intervals of its samples.

    Interval a = 1, 2, ... goes from the a-th smallest to the a-th largest of M samples. If the truth is
    drawn from the same distribution as independent samples, it lies inside with probability
    (M + 1 - 2 a) / (M + 1); balanced samples span more (:mod:`dispr_cli.shape.balanced`).

    Parameters
    ----------
    samples
        (N, M): M samples of a quantity for each of N cells.
    truth
        (N,): the true values.
    balance
        Samples that balance each other, in order; 1 for independent ones.

    Returns
    -------
    nominal
        (M // 2,) probabilities, the widest interval (the samples' extremes) first; empty for one sample.
    observed
        (M // 2,) shares of the cells whose truth lies inside, borders included.

    Raises
    ------
    ConfigError
        If there is no sample or no cell, or the shapes do not belong together.
    """
    drawn, true = _cells(samples, truth)
    num_samples = drawn.shape[1]
    from_below = np.sort(drawn, axis=1)[:, : num_samples // 2]
    from_above = np.sort(drawn, axis=1)[:, ::-1][:, : num_samples // 2]
    inside = (from_below <= true[:, None]) & (true[:, None] <= from_above)
    ranks = np.array(honest_ranks(num_samples, balance))
    depths = range(1, num_samples // 2 + 1)
    return np.array([ranks[a : num_samples + 1 - a].sum() for a in depths]), inside.mean(axis=0)


def rank_histogram(samples: ArrayLike, truth: ArrayLike, seed: int = 0) -> NDArray[np.int64]:
    """Count the truths by their rank among their samples (Talagrand diagram); ties are broken at random.

    Parameters
    ----------
    samples
        (N, M): M samples of a quantity for each of N cells.
    truth
        (N,): the true values.
    seed
        Of the random ranks among equal values.

    Returns
    -------
    ndarray
        (M + 1,) counts: flat if the spread is honest, a valley if it is too narrow, a hill if too wide.

    Raises
    ------
    ConfigError
        As :func:`interval_coverage`.
    """
    drawn, true = _cells(samples, truth)
    below = (drawn < true[:, None]).sum(axis=1)
    equal = (drawn == true[:, None]).sum(axis=1)
    ranks = below + np.random.default_rng(seed).integers(0, equal + 1)
    return np.bincount(ranks, minlength=drawn.shape[1] + 1)


def spread_skill_ratio(samples: ArrayLike, truth: ArrayLike, balance: int = 1) -> float:
    """Divide the samples' spread by the error of their mean; an honest spread gives 1, a narrow one less.

    ``sqrt((1 + v) mean variance) / RMSE of the mean`` with the unbiased variance of one sample and the
    variance v of the mean relative to it, 1 / M for independent samples (Fortin et al. 2014).
    Cells of different sizes are weighed equally if samples and truth are divided by the truth first.

    Parameters
    ----------
    samples
        (N, M): M samples of a quantity for each of N cells.
    truth
        (N,): the true values.
    balance
        As for :func:`interval_coverage`.

    Returns
    -------
    float
        The ratio; 0 for one sample, which has no spread, and NaN where every mean is right and nothing
        spreads.

    Raises
    ------
    ConfigError
        As :func:`interval_coverage`.
    """
    drawn, true = _cells(samples, truth)
    num_samples = drawn.shape[1]
    if num_samples == 1:
        return 0.0
    apart = (drawn[:, :, None] - drawn[:, None, :]) * independence(num_samples, balance)
    variance = (apart**2).sum(axis=(1, 2)) / (2 * num_samples * (num_samples - 1))
    spread = np.sqrt((1 + noise_of_mean(num_samples, balance)) * variance.mean())
    error = np.sqrt(((drawn.mean(axis=1) - true) ** 2).mean())
    if error == 0:
        return float("nan") if spread == 0 else float("inf")
    return float(spread / error)


@dataclass(frozen=True)
class VoxelReliability:
    """Voxels by how many of M samples have them inside; adds up over cells with ``+``.

    Attributes
    ----------
    voxels
        (M + 1,) number of voxels that 0, 1, ..., M samples have inside.
    hits
        (M + 1,) how many of these are inside the truth.
    balance
        As for :func:`interval_coverage`.
    """

    voxels: NDArray[np.int64]
    hits: NDArray[np.int64]
    balance: int = 1

    def __add__(self, other: VoxelReliability) -> VoxelReliability:
        """Pool two cells that have the same number of samples.

        Raises
        ------
        ConfigError
            If the numbers of samples differ, or how they were drawn.
        """
        if len(self.voxels) != len(other.voxels):
            raise ConfigError(
                f"The voxel votes of {len(self.voxels) - 1} and of {len(other.voxels) - 1} samples were to "
                "be pooled; give every cell the same number of samples."
            )
        if self.balance != other.balance:
            raise ConfigError(
                f"The voxel votes of samples in groups of {self.balance} and of {other.balance} were to be "
                "pooled; draw all cells' samples alike."
            )
        return VoxelReliability(self.voxels + other.voxels, self.hits + other.hits, self.balance)

    @property
    def probability(self) -> NDArray[np.float64]:
        """The voted probability of each class of voxels (M + 1,)."""
        return np.arange(len(self.voxels)) / (len(self.voxels) - 1)

    @property
    def observed(self) -> NDArray[np.float64]:
        """The true share of each class of voxels (M + 1,); NaN for a class without voxels."""
        return np.where(self.voxels > 0, self.hits / np.maximum(self.voxels, 1), np.nan)

    @property
    def brier_score(self) -> float:
        """Mean of (probability - truth)² over all voxels of the grid; 0 is perfect."""
        misses = self.voxels - self.hits
        squares = self.hits * (1 - self.probability) ** 2 + misses * self.probability**2
        return float(squares.sum() / self.voxels.sum())

    @property
    def fair_brier_score(self) -> float:
        """The Brier score less p (1 - p) / (M - 1), what having only M samples costs (Ferro 2014).

        The vote of balanced samples has hardly any noise of its own: nothing is taken off its score.
        """
        num_samples = len(self.voxels) - 1
        if num_samples == 1 or self.balance > 1:
            return self.brier_score
        noise = self.voxels * self.probability * (1 - self.probability) / (num_samples - 1)
        return self.brier_score - float(noise.sum() / self.voxels.sum())

    @property
    def calibration_error(self) -> float:
        """Mean of |probability - true share| over the voxels that any sample has inside; NaN without."""
        claimed = self.voxels[1:]
        if claimed.sum() == 0:
            return float("nan")
        gaps = np.abs(self.probability - np.nan_to_num(self.observed))[1:]
        return float((claimed * gaps).sum() / claimed.sum())


def voxel_reliability(
    samples: Sequence[NDArray[Any]], truth: NDArray[Any], balance: int = 1
) -> VoxelReliability:
    """Sort the voxels by how many samples have them inside, and count those inside the truth.

    Parameters
    ----------
    samples
        M volumes (Z, Y, X): uint8 grey values, float occupancy in [0, 1], or bool.
    truth
        (Z, Y, X) volume of the same shape.
    balance
        As for :func:`interval_coverage`.

    Returns
    -------
    VoxelReliability
        Counts, with the Brier score and the calibration error.

    Raises
    ------
    CellError
        If the shapes differ, a volume is not one of the three kinds, or the truth is empty.
    ConfigError
        If there is no sample.
    """
    if len(samples) == 0:
        raise ConfigError("There is no sample to vote; at least one was expected.")
    votes = np.zeros(np.shape(truth), np.int64)
    for sample in samples:
        inside, true_inside = foreground_pair(sample, truth)
        votes += inside
    classes = len(samples) + 1
    return VoxelReliability(
        np.bincount(votes.ravel(), minlength=classes),
        np.bincount(votes[true_inside], minlength=classes),
        balance,
    )


def _cells(samples: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    drawn, true = paired_with_truth(samples, truth)
    if drawn.ndim != 2 or len(drawn) == 0:
        raise ConfigError(
            f"The samples have shape {drawn.shape}; (N, M) with at least one cell was expected."
        )
    return drawn, true
