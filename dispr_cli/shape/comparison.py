"""Methods side by side: what the cells' scores say of one method, and of each pair on shared cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import ConfigError
from dispr_cli.shape.balanced import honest_ranks
from dispr_cli.shape.calibration import (
    VoxelReliability,
    interval_coverage,
    rank_histogram,
    spread_skill_ratio,
)
from dispr_cli.shape.measures import SCORED_QUANTITIES, CellScores
from dispr_cli.shape.samples import best_of_k
from dispr_cli.shape.statistics import Comparison, Summary, compare_methods, summarise_by_class

HIGHER_IS_BETTER = ("iou", "dice", "mirror_invariant_iou", "slice_iou")
LOWER_IS_BETTER = (
    "volume_error",
    "surface_error",
    "roughness_error",
    "mean_curvature_error",
    "surface_distance",
    "surface_distance_95",
)
SCORES = HIGHER_IS_BETTER + LOWER_IS_BETTER
"""The errors and overlaps of :func:`~dispr_cli.shape.measures.measure_reconstruction`."""


@dataclass(frozen=True)
class Calibration:
    """Whether a method's spread of one quantity is honest, over all cells, relative to the true value.

    Attributes
    ----------
    nominal, observed
        Probability and observed share of the truths within each central interval, the widest first.
    ranks, honest_ranks
        (M + 1,) truths by rank among their samples, and how probable the ranks are if the spread is honest.
    spread_skill
        Spread over error of the samples' mean; 1 is honest, less is too sure.
    """

    nominal: NDArray[np.float64]
    observed: NDArray[np.float64]
    ranks: NDArray[np.int64]
    honest_ranks: NDArray[np.float64]
    spread_skill: float


@dataclass(frozen=True)
class MethodSummary:
    """All that is told of one method.

    Attributes
    ----------
    summaries
        By name of the score, as :func:`cell_scores` has them, then by ``all``, class and ``macro``.
    calibration
        By quantity: volume, surface_area, z_extent. Empty unless every cell has the same number of samples.
    reliability
        The voxels' votes over all cells; None as above.
    failures
        How many samples are empty, of all of them.
    samples
        How many samples there are.
    """

    summaries: dict[str, dict[str, Summary]]
    calibration: dict[str, Calibration]
    reliability: VoxelReliability | None
    failures: int
    samples: int


def cell_scores(scores: CellScores) -> dict[str, float]:
    """Return one number for each score of a cell.

    Parameters
    ----------
    scores
        Of the cell.

    Returns
    -------
    dict
        ``iou`` and so on: the mean over the samples, which is what one random sample scores; ``vote_*``,
        ``medoid_*`` and ``best_*`` (the best of all M samples) likewise; and the scores of the samples as a
        set.
    """
    values = {}
    for name in SCORES:
        drawn = [sample[name] for sample in scores.samples]
        best = best_of_k(drawn, len(drawn), higher_is_better=name in HIGHER_IS_BETTER)
        values[name] = float(np.mean(drawn))
        values[f"vote_{name}"] = scores.vote[name]
        values[f"medoid_{name}"] = drawn[scores.medoid]
        values[f"best_{name}"] = float(best)
    return values | scores.together


def summarise_method(cells: Mapping[str, CellScores], classes: Mapping[str, str]) -> MethodSummary:
    """Summarise a method over its cells.

    Parameters
    ----------
    cells
        Scores by the cell's name. A cell that a method failed on must be here with an empty sample, not left
        out.
    classes
        Class by the cell's name.

    Returns
    -------
    MethodSummary
        Averages by class, calibration and failures.

    Raises
    ------
    ConfigError
        If there is no cell, or one without a class.
    """
    names = _named(cells, classes)
    by_cell = [cell_scores(cells[name]) for name in names]
    groups = [classes[name] for name in names]
    summaries = {
        score: summarise_by_class([values[score] for values in by_cell], groups) for score in by_cell[0]
    }
    empty = [sample["empty"] for name in names for sample in cells[name].samples]
    ordered = [cells[name] for name in names]
    alike = len({len(scores.samples) for scores in ordered}) == 1
    return MethodSummary(
        summaries,
        {quantity: calibrate(ordered, quantity) for quantity in SCORED_QUANTITIES} if alike else {},
        reduce(add, [scores.reliability for scores in ordered]) if alike else None,
        int(sum(empty)),
        len(empty),
    )


def calibrate(cells: Sequence[CellScores], quantity: str) -> Calibration:
    """Judge the spread of one quantity over cells with the same number of samples.

    Samples are divided by the truth, so that large cells do not count more.

    Parameters
    ----------
    cells
        Scores of the cells.
    quantity
        A measure of :func:`~dispr_cli.shape.measures.measure_volume`.

    Returns
    -------
    Calibration
        Coverage, ranks, and spread over skill.

    Raises
    ------
    ConfigError
        If there is no cell.
    """
    truth = np.array([scores.truth[quantity] for scores in cells])
    drawn = np.array([[sample[quantity] for sample in scores.samples] for scores in cells])
    relative, ones, balance = drawn / truth[:, None], np.ones(len(cells)), cells[0].balance
    nominal, observed = interval_coverage(relative, ones, balance)
    return Calibration(
        nominal,
        observed,
        rank_histogram(relative, ones),
        np.array(honest_ranks(drawn.shape[1], balance)),
        spread_skill_ratio(relative, ones, balance),
    )


def compare(
    methods: Mapping[str, Mapping[str, CellScores]], scores: Iterable[str] = SCORES, *, seed: int = 0
) -> dict[str, list[Comparison]]:
    """Compare every pair of methods on the cells they share.

    Parameters
    ----------
    methods
        For each method its cells' scores by the cell's name.
    scores
        Which scores, as :func:`cell_scores` names them.
    seed
        Of the bootstrap.

    Returns
    -------
    dict
        For each score one comparison a pair; where the methods share no cell its count is 0 and its numbers
        NaN.

    Raises
    ------
    ConfigError
        If a score is unknown.
    """
    by_cell = {
        method: {name: cell_scores(values) for name, values in cells.items()}
        for method, cells in methods.items()
    }
    names = sorted({name for cells in by_cell.values() for name in cells})
    known = {score for cells in by_cell.values() for values in cells.values() for score in values}
    comparisons = {}
    for score in scores:
        if known and score not in known:
            raise ConfigError(f"There is no score named {score}; choose among {', '.join(sorted(known))}.")
        table = {
            method: [cells[name][score] if name in cells else np.nan for name in names]
            for method, cells in by_cell.items()
        }
        comparisons[score] = compare_methods(table, seed=seed)
    return comparisons


def _named(cells: Mapping[str, CellScores], classes: Mapping[str, str]) -> list[str]:
    if not cells:
        raise ConfigError("There is no cell to summarise; at least one with a truth was expected.")
    missing = sorted(set(cells) - set(classes))
    if missing:
        raise ConfigError(
            f"Cell {missing[0]} and {len(missing) - 1} others have no class; give every cell one."
        )
    return sorted(cells)
