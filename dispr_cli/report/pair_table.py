"""Every two methods on the cells they share, as a table of words: by how much they differ, and how surely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dispr_cli.report.score_tables import WordTable, spelled
from dispr_cli.shape.comparison import HIGHER_IS_BETTER
from dispr_cli.shape.statistics import Comparison

HEADLINE = ("iou", "volume_error", "surface_error", "surface_distance")
"""Scores whose paired differences the screen shows."""

_LABELS = {
    "iou": "IoU",
    "vote_iou": "IoU of the vote",
    "vote_volume_error": "volume error of the vote",
    "vote_surface_error": "surface error of the vote",
    "vote_surface_distance": "surface distance of the vote",
    "medoid_iou": "IoU of the medoid",
    "mirror_invariant_iou": "mirror-invariant IoU",
    "slice_iou": "slice IoU",
    "dice": "Dice",
    "mean_curvature_error": "curvature error",
    "surface_distance_95": "95 % surface distance",
    "relative_fair_crps_volume": "CRPS volume",
    "relative_fair_crps_surface_area": "CRPS surface",
    "relative_fair_crps_z_extent": "CRPS height",
    "ged_squared": "GED²",
    "fair_brier": "Brier",
}
_PREFIXES = ("vote_", "medoid_", "best_")
_RELATIVE = ("volume_error", "surface_error", "roughness_error", "mean_curvature_error")


def pair_table(
    comparisons: Mapping[str, Sequence[Comparison]], scores: Sequence[str], unit: str
) -> WordTable:
    """Paired differences of every two methods on the cells they share, in the units of the other tables.

    Parameters
    ----------
    comparisons
        By score, one for each pair.
    scores
        Those to show, in this order.
    unit
        Of lengths.
    """
    rows = tuple(
        (
            f"{comparison.first} − {comparison.second}",
            _LABELS.get(score, score.replace("_", " ")),
            str(comparison.count),
            _difference(comparison.difference, score, unit),
            f"{_number(comparison.low, score)} to {_number(comparison.high, score)}",
            "> 0" if higher_is_better(score) else "< 0",
            _p_value(comparison.p_value),
            _p_value(comparison.adjusted_p_value),
        )
        for score in scores
        for comparison in comparisons[score]
    )
    header = (
        *("pair", "score", "cells", "difference", "95 % interval", "first is better"),
        *("p (Wilcoxon)", "p (Holm)"),
    )
    note = (
        "Mean of first minus second over the cells; of errors in % in percentage points (pp). Bootstrap over "
        "cells; two-sided signed-rank test, and the same adjusted by Holm for all pairs of methods within "
        "one score, not for the number of scores."
    )
    return WordTable("Pairs of methods", header, rows, note)


def higher_is_better(score: str) -> bool:
    """Whether more of a score is better: overlaps; of errors, distances and scores of sets less is."""
    return _plain(score) in HIGHER_IS_BETTER


def _plain(score: str) -> str:
    return next((score.removeprefix(prefix) for prefix in _PREFIXES if score.startswith(prefix)), score)


def _is_relative(score: str) -> bool:
    return _plain(score) in _RELATIVE or score.startswith("relative_")


def _difference(value: float, score: str, unit: str) -> str:
    if _is_relative(score):
        return f"{_number(value, score)} pp"
    return f"{_number(value, score)} {unit}" if "surface_distance" in score else _number(value, score)


def _number(value: float, score: str) -> str:
    if _is_relative(score):
        return spelled(100 * value, "+.1f")
    return spelled(value, "+.4f" if score == "fair_brier" else "+.3f")


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else spelled(value, ".3f")
