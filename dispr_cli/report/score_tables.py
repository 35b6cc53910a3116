"""What an evaluation says, as small tables of words: for the screen and for Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dispr_cli.shape.comparison import MethodSummary
from dispr_cli.shape.statistics import Summary

UNITS = {True: "µm", False: "voxels"}
"""Unit of lengths, by whether every voxel size is known."""

_WORDS = ("method", "class", "pair", "score", "to its weights")


@dataclass(frozen=True)
class WordTable:
    """A table with a title.

    Attributes
    ----------
    title
        What it shows.
    header
        Titles of the columns; the first ones are words, the others numbers.
    rows
        As many words as columns each.
    note
        A sentence on how to read it.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    @property
    def is_words(self) -> tuple[bool, ...]:
        """Whether each column holds words, which stand to the left; numbers stand to the right."""
        return tuple(title in _WORDS for title in self.header)

    def markdown(self) -> str:
        """Return the table in Markdown, numbers to the right."""
        marks = tuple("---" if is_words else "---:" for is_words in self.is_words)
        lines = [self.header, marks, *self.rows]
        table = "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines)
        note = f"\n\n{self.note}" if self.note else ""
        return f"## {self.title}\n\n{table}{note}\n"

    def plain(self) -> str:
        """Return the table with aligned columns, for terminals without colours and for files."""
        lines = [self.header, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.header))]
        shown = [_aligned(line, widths, self.is_words) for line in lines]
        return "\n".join([f"{self.title}:", *shown])


def score_table(summaries: Mapping[str, MethodSummary], failed: Mapping[str, int], unit: str) -> WordTable:
    """Overlaps, errors and distances of each method over all cells, mean ± sd."""
    columns: tuple[tuple[str, str, Callable[[Summary], str]], ...] = (
        ("IoU", "iou", _number),
        ("IoU of the vote", "vote_iou", _number),
        ("volume error", "volume_error", _percent),
        ("surface error", "surface_error", _percent),
        ("roughness error", "roughness_error", _percent),
        ("curvature error", "mean_curvature_error", _percent),
        (f"distance ({unit})", "surface_distance", _number),
    )
    rows = tuple(
        (
            method,
            str(summary.summaries["iou"]["all"].count),
            str(failed[method]),
            *(shown(summary.summaries[score]["all"]) for _, score, shown in columns),
        )
        for method, summary in summaries.items()
    )
    header = ("method", "cells", "failed", *(title for title, _, _ in columns))
    return WordTable("Scores, one random sample", header, rows, "Mean ± standard deviation over the cells.")


def learning_table(by_state: Mapping[tuple[str, str], Mapping[str, Summary]], unit: str) -> WordTable:
    """Scores of each method and state of cells: learned by its weights, new to them, or unknown."""
    columns: tuple[tuple[str, str, Callable[[Summary], str]], ...] = (
        ("IoU", "iou", _number),
        ("IoU of the vote", "vote_iou", _number),
        ("volume error", "volume_error", _percent),
        ("surface error", "surface_error", _percent),
        (f"distance ({unit})", "surface_distance", _number),
    )
    rows = tuple(
        (method, state, str(scores["iou"].count), *(shown(scores[score]) for _, score, shown in columns))
        for (method, state), scores in by_state.items()
    )
    header = ("method", "to its weights", "cells", *(title for title, _, _ in columns))
    note = "Scores on cells that the weights learned from say nothing of new cells; those on new cells do."
    return WordTable("Learned and new cells, one random sample", header, rows, note)


def further_table(summaries: Mapping[str, MethodSummary], unit: str) -> WordTable:
    """Medians, and the scores that the first table has no room for."""
    columns: tuple[tuple[str, str, Callable[[Summary], str]], ...] = (
        ("IoU, median", "iou", _median),
        ("volume error, median", "volume_error", _median_percent),
        ("surface error, median", "surface_error", _median_percent),
        ("Dice", "dice", _number),
        ("mirror-invariant IoU", "mirror_invariant_iou", _number),
        ("slice IoU", "slice_iou", _number),
        (f"95 % distance ({unit})", "surface_distance_95", _number),
        ("IoU of the medoid", "medoid_iou", _number),
        ("best IoU of all samples", "best_iou", _number),
    )
    rows = tuple(
        (method, *(shown(summary.summaries[score]["all"]) for _, score, shown in columns))
        for method, summary in summaries.items()
    )
    note = "The best of all samples is chosen knowing the truth; it rewards luck."
    return WordTable("Further scores", ("method", *(title for title, _, _ in columns)), rows, note)


def spread_table(summaries: Mapping[str, MethodSummary]) -> WordTable:
    """Scores of the samples as a set, and whether their spread of the volume is honest."""
    columns = (
        ("CRPS volume", "relative_fair_crps_volume", _mean_percent),
        ("CRPS surface", "relative_fair_crps_surface_area", _mean_percent),
        ("CRPS height", "relative_fair_crps_z_extent", _mean_percent),
        ("GED²", "ged_squared", _mean),
        ("IoU between samples", "sample_iou", _mean),
        ("Brier", "fair_brier", _mean_fine),
    )
    rows = tuple(
        (
            method,
            _samples(summary),
            *(shown(summary.summaries[score]["all"]) for _, score, shown in columns),
            *_honesty(summary),
        )
        for method, summary in summaries.items()
    )
    header = ("method", "samples", *(title for title, _, _ in columns), "coverage (nominal)", "spread/skill")
    note = (
        "CRPS (fair, relative to the truth) is the absolute error where there is one sample. Coverage: "
        "truths within the extremes of the samples' volumes. Spread over skill of the volume: 1 is honest, "
        "less is too sure; – where the samples of a cell are equal."
    )
    return WordTable("Several samples", header, rows, note)


def class_table(summaries: Mapping[str, MethodSummary], unit: str, only_macro: bool = False) -> WordTable:
    """Scores by class, and macro averages in which a rare class counts as much as a common one."""
    columns: tuple[tuple[str, str, Callable[[Summary], str]], ...] = (
        ("IoU", "iou", _number),
        ("volume error", "volume_error", _percent),
        ("surface error", "surface_error", _percent),
        ("roughness error", "roughness_error", _percent),
        ("curvature error", "mean_curvature_error", _percent),
        (f"distance ({unit})", "surface_distance", _number),
    )
    classes = [name for name in next(iter(summaries.values())).summaries["iou"] if name != "all"]
    chosen = ["macro"] if only_macro else classes
    rows = tuple(
        (
            name,
            method,
            str(summary.summaries["iou"][name].count),
            *(shown(summary.summaries[score][name]) for _, score, shown in columns),
        )
        for name in chosen
        for method, summary in summaries.items()
    )
    header = ("class", "method", "cells", *(title for title, _, _ in columns))
    return WordTable(
        "By class", header, rows, "Macro: mean ± standard deviation of the classes' means; cells: classes."
    )


def _escaped(word: str) -> str:
    return word.replace("|", "\\|")


def _aligned(line: Sequence[str], widths: Sequence[int], words: Sequence[bool]) -> str:
    columns = zip(line, widths, words, strict=True)
    return "  ".join(
        word.ljust(width) if left else word.rjust(width) for word, width, left in columns
    ).rstrip()


def _samples(summary: MethodSummary) -> str:
    cells = summary.summaries["iou"]["all"].count
    return f"{summary.samples / cells:g}" if cells else "–"


def _honesty(summary: MethodSummary) -> tuple[str, str]:
    calibration = summary.calibration.get("volume")
    if calibration is None or len(calibration.nominal) == 0 or calibration.spread_skill == 0:
        return "–", "–"  # One sample, or equal ones: a spread that is not there is neither honest nor not.
    coverage = f"{100 * calibration.observed[0]:.0f} % ({100 * calibration.nominal[0]:.0f} %)"
    return coverage, spelled(calibration.spread_skill, ".2f")


def _number(summary: Summary) -> str:
    return _with_sd(summary.mean, summary.sd, ".3f")


def _percent(summary: Summary) -> str:
    return _with_sd(100 * summary.mean, 100 * summary.sd, ".1f") + " %"


def _mean(summary: Summary) -> str:
    return spelled(summary.mean, ".3f")


def _mean_fine(summary: Summary) -> str:
    return spelled(summary.mean, ".4f")


def _mean_percent(summary: Summary) -> str:
    return spelled(100 * summary.mean, ".1f") + " %"


def _median(summary: Summary) -> str:
    return spelled(summary.median, ".3f")


def _median_percent(summary: Summary) -> str:
    return spelled(100 * summary.median, ".1f") + " %"


def _with_sd(mean: float, sd: float, form: str) -> str:
    return f"{spelled(mean, form)} ± {sd:{form}}" if math.isfinite(sd) else spelled(mean, form)


def spelled(value: float, form: str) -> str:
    """Write a number; a dash where there is none."""
    if math.isnan(value):
        return "–"
    return f"{value:{form}}" if math.isfinite(value) else "∞"
