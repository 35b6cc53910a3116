"""How good answers are: macro F1 and its kin, intervals over cells, paired tests between variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dispr_cli.shape.statistics import holm_adjusted

RESAMPLINGS = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Scores of one variant.

    Attributes
    ----------
    macro_f1, balanced_accuracy, weighted_f1
        (R,) for each repetition, over all its folds together.
    macro_f1_interval
        Bootstrap over cells, within classes, of the mean over repetitions.
    class_f1
        (C,) mean F1 of each class.
    class_f1_interval
        (C, 2) bootstrap interval of each.
    confusion
        (C, C + 1) mean counts: rows true, columns answered; the last column is no answer.
    """

    macro_f1: NDArray[np.float64]
    balanced_accuracy: NDArray[np.float64]
    weighted_f1: NDArray[np.float64]
    macro_f1_interval: tuple[float, float]
    class_f1: NDArray[np.float64]
    class_f1_interval: NDArray[np.float64]
    confusion: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PairedTest:
    """One variant against another on the same cells.

    Attributes
    ----------
    difference
        Of the macro F1, mean over repetitions.
    low, high
        Bootstrap interval over cells.
    p_value
        Two-sided permutation test: per cell, the two variants' answers are exchanged at random.
    adjusted_p_value
        By Holm's procedure over all tests of the table.
    """

    difference: float
    low: float
    high: float
    p_value: float
    adjusted_p_value: float


def f1_of(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the F1 score of each class from counts (..., C, C + 1): (..., C); 0 for one never right."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    true = confusion.sum(axis=-1)
    answered = confusion.sum(axis=-2)[..., : right.shape[-1]]
    found: NDArray[np.float64] = 2 * right / np.maximum(true + answered, 1e-12)
    return found


def score_answers(answers: NDArray[np.int64], truth: NDArray[np.int64], num_classes: int) -> ClassScores:
    """Score the answers of one variant.

    Parameters
    ----------
    answers
        (R, N) class index of each cell in each repetition; ``num_classes`` is no answer.
    truth
        (N,) true class indices.
    num_classes
        C.
    """
    marks = _marks(answers, truth, num_classes)
    counts = marks.sum(axis=1)
    recall = np.diagonal(counts, axis1=1, axis2=2) / counts.sum(axis=2)
    share = counts.sum(axis=2) / len(truth)
    drawn = f1_of(_weighted(marks, cell_draws(truth))).mean(axis=0)
    ends = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    low, high = np.quantile(drawn.mean(axis=-1), ends)
    scores = f1_of(counts)
    return ClassScores(
        scores.mean(axis=1),
        recall.mean(axis=1),
        (scores * share).sum(axis=1),
        (float(low), float(high)),
        scores.mean(axis=0),
        np.quantile(drawn, ends, axis=0).T,
        counts.mean(axis=0),
    )


def compare_answers(
    answers: Mapping[str, NDArray[np.int64]],
    truth: NDArray[np.int64],
    num_classes: int,
    pairs: Sequence[tuple[str, str]],
) -> dict[tuple[str, str], PairedTest]:
    """Test pairs of variants on their macro F1.

    Parameters
    ----------
    answers
        By variant, as in :func:`score_answers`.
    truth, num_classes
        As there.
    pairs
        (a, b): the difference is a minus b.
    """
    marks = {name: _marks(found, truth, num_classes) for name, found in answers.items()}
    draws = cell_draws(truth)
    found = [_tested(marks[a], marks[b], draws) for a, b in pairs]
    adjusted = holm_adjusted([values[-1] for values in found])
    return {pair: PairedTest(*values, p) for pair, values, p in zip(pairs, found, adjusted, strict=True)}


def _tested(
    first: NDArray[np.float64], second: NDArray[np.float64], draws: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    observed = _macro(first.sum(axis=1)) - _macro(second.sum(axis=1))
    spread = _macro(_weighted(first, draws)) - _macro(_weighted(second, draws))
    low, high = np.quantile(spread, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    swaps = np.random.default_rng(1).integers(0, 2, draws.shape).astype(np.float64)
    mixed = _weighted(first, swaps) + _weighted(second, 1 - swaps)
    other = _weighted(second, swaps) + _weighted(first, 1 - swaps)
    chance = np.abs(_macro(mixed) - _macro(other)) >= abs(observed) - 1e-12
    # The observed assignment is one of the permutations (Phipson & Smyth 2010).
    return float(observed), float(low), float(high), float((chance.sum() + 1) / (len(swaps) + 1))


def cell_draws(truth: NDArray[np.int64], seed: int = 0) -> NDArray[np.float64]:
    """Draw the cells of each class again with replacement: (B, N) how often each cell is drawn."""
    random = np.random.default_rng(seed)
    draws = np.zeros((RESAMPLINGS, len(truth)))
    for own in np.unique(truth):
        members = np.flatnonzero(truth == own)
        draws[:, members] = random.multinomial(
            len(members), np.full(len(members), 1 / len(members)), RESAMPLINGS
        )
    return draws


def _marks(answers: NDArray[np.int64], truth: NDArray[np.int64], num_classes: int) -> NDArray[np.float64]:
    """Mark each repetition's and cell's place in the table of true and answered class, (R, N, C, C + 1)."""
    marks = np.zeros((*answers.shape, num_classes, num_classes + 1))
    repeats, cells = np.indices(answers.shape)
    marks[repeats, cells, truth[None], answers] = 1.0
    return marks


def _weighted(marks: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up the marks with weights (B, N) of the cells: (R, B, C, C + 1)."""
    repeats, cells, *table = marks.shape
    flat = marks.reshape(repeats, cells, -1)
    return np.matmul(weights, flat).reshape(repeats, len(weights), *table)


def _macro(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average the F1 over classes and repetitions (the first axis)."""
    found: NDArray[np.float64] = f1_of(confusion).mean(axis=-1).mean(axis=0)
    return found
