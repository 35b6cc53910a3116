"""Scores of several samples of one cell against its truth, and single shapes that stand for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dispr_cli.errors import ConfigError
from dispr_cli.shape.balanced import independence
from dispr_cli.shape.errors import overlap_ratio
from dispr_cli.shape.threshold import foreground


def fair_crps(samples: ArrayLike, truth: ArrayLike, balance: int = 1) -> NDArray[np.float64]:
    """Score numbers drawn from a distribution against the true number (continuous ranked probability score).

    ``mean |x_m - y| - sum_{m != j} |x_m - x_j| / (2 M (M - 1))``: the fair form, whose expectation does not
    depend on M (Gneiting & Raftery 2007; Ferro 2014). For one sample it is the absolute error, so
    deterministic methods compare. It holds for independent samples; the distances between balanced ones are
    brought to that, see :mod:`dispr_cli.shape.balanced`, or else their method would seem better than it is.

    Parameters
    ----------
    samples
        (..., M): M samples of a quantity (volume, surface area, z-extent) for each cell.
    truth
        (...): the true values.
    balance
        Samples that balance each other, in order; 1 for independent ones.

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
    drawn, true = paired_with_truth(samples, truth)
    num_samples = drawn.shape[-1]
    distance = np.asarray(np.abs(drawn - true[..., None]).mean(axis=-1))
    if num_samples == 1:
        return distance
    apart = np.abs(drawn[..., :, None] - drawn[..., None, :]) * independence(num_samples, balance)
    return np.asarray(distance - apart.sum(axis=(-2, -1)) / (2 * num_samples * (num_samples - 1)))


def generalised_energy_distance(
    samples: Sequence[NDArray[Any]], truth: NDArray[Any], balance: int = 1
) -> float:
    """Score sampled shapes as a set: GED² with d = 1 - IoU (Kohl et al. 2018), in the M (M - 1) form.

    ``2 mean d(S_m, y) - sum_{m != j} d(S_m, S_j) / (M (M - 1))``. One sample has no spread, so it scores
    twice its distance.

    Parameters
    ----------
    samples
        M volumes (Z, Y, X): uint8 grey values, float occupancy in [0, 1], or bool.
    truth
        (Z, Y, X) volume.
    balance
        As for :func:`fair_crps`.

    Returns
    -------
    float
        Smaller is better; 0 if every sample is the truth.

    Raises
    ------
    CellError
        If a volume is not one of the three kinds.
    ConfigError
        If there is no sample.
    """
    insides, true_inside = [foreground(sample) for sample in samples], foreground(truth)
    overlaps = np.array([overlap_ratio(inside, true_inside) for inside in insides])
    return energy_distance_of(overlaps, overlap_matrix(insides), balance)


def energy_distance_of(
    with_truth: NDArray[np.float64], among_samples: NDArray[np.float64], balance: int = 1
) -> float:
    """Return GED² from the samples' IoU with the truth (M,) and with each other (M, M)."""
    num_samples = len(with_truth)
    if num_samples == 0:
        raise ConfigError("There is no sample to score; at least one was expected.")
    distance = 2 * float(1 - with_truth.mean())
    if num_samples == 1:
        return distance
    # The diagonal holds a one for each sample, whose distance to itself is 0.
    apart = (1 - among_samples) * independence(num_samples, balance)
    return distance - float(apart.sum()) / (num_samples * (num_samples - 1))


def overlap_matrix(insides: Sequence[NDArray[np.bool_]]) -> NDArray[np.float64]:
    """Compute the IoU of every pair of M boolean volumes: (M, M), ones on the diagonal."""
    overlaps = np.eye(len(insides))
    for first in range(len(insides)):
        for second in range(first):
            overlaps[first, second] = overlap_ratio(insides[first], insides[second])
            overlaps[second, first] = overlaps[first, second]
    return overlaps


def medoid(among_samples: NDArray[np.float64]) -> int:
    """Return the sample that overlaps best with the others on average, from their IoU (M, M)."""
    return int(np.argmax(among_samples.sum(axis=1)))


def voxel_vote(samples: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Return the share of the samples that have each voxel inside, as a float occupancy.

    Parameters
    ----------
    samples
        M volumes (Z, Y, X) of one shape: uint8 grey values, float occupancy in [0, 1], or bool.

    Returns
    -------
    ndarray
        (Z, Y, X) float32 in [0, 1]. Above one half, as every measure takes it, is the majority's shape.

    Raises
    ------
    CellError
        If a volume is not one of the three kinds.
    ConfigError
        If there is no sample.
    """
    if len(samples) == 0:
        raise ConfigError("There is no sample to vote; at least one was expected.")
    votes = np.zeros(np.shape(samples[0]), np.int32)
    for sample in samples:
        votes += foreground(sample)
    return (votes / np.float32(len(samples))).astype(np.float32)


def best_of_k(scores: ArrayLike, k: int, *, higher_is_better: bool = True) -> NDArray[np.float64]:
    """Estimate the best score among k samples without bias from M >= k samples.

    The mean over all choices of k of the M samples: ``sum_i C(i - 1, k - 1) / C(M, k) s_(i)`` over the scores
    sorted from worst to best. It rewards luck and never is the headline.

    Parameters
    ----------
    scores
        (..., M) scores of the samples of each cell.
    k
        How many samples may be looked at.
    higher_is_better
        False for errors.

    Returns
    -------
    ndarray
        (...) expected best scores.

    Raises
    ------
    ConfigError
        If k is not in 1 to M.
    """
    values = np.asarray(scores, dtype=np.float64)
    num_samples = values.shape[-1] if values.ndim else 0
    if not 1 <= k <= num_samples:
        raise ConfigError(f"The best of {k} of {num_samples} samples was asked for; choose k from 1 to M.")
    worst_first = np.sort(values, axis=-1)
    if not higher_is_better:
        worst_first = worst_first[..., ::-1]
    weights = [comb(place, k - 1) / comb(num_samples, k) for place in range(num_samples)]
    return np.asarray(worst_first @ np.array(weights))


def paired_with_truth(
    samples: ArrayLike, truth: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Check that samples (..., M) and true values (...) belong together, and return both as floats.

    Raises
    ------
    ConfigError
        If there is no sample, or the shapes do not belong together.
    """
    drawn, true = np.asarray(samples, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if drawn.ndim == 0 or drawn.shape[-1] == 0 or drawn.shape[:-1] != true.shape:
        raise ConfigError(
            f"The samples have shape {drawn.shape} and the true values {true.shape}; (..., M) with M >= 1 "
            "and (...) were expected."
        )
    return drawn, true
