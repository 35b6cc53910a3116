"""What an evaluation found, and how it is told in numbers and tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispr_cli import __version__
from dispr_cli.report.pair_table import HEADLINE, pair_table
from dispr_cli.report.score_tables import (
    UNITS,
    WordTable,
    class_table,
    further_table,
    learning_table,
    score_table,
    spread_table,
)
from dispr_cli.scoring.files import FORMAT, comparison_content, method_content, plain_content
from dispr_cli.scoring.learned import LEARNED, LearningScores
from dispr_cli.scoring.matching import NO_CLASS, LeftOut, Match
from dispr_cli.shape.comparison import SCORES, MethodSummary
from dispr_cli.shape.measures import CellScores
from dispr_cli.shape.statistics import Comparison

PAIRED_SCORES = (
    *SCORES,
    "vote_iou",
    "vote_volume_error",
    "vote_surface_error",
    "vote_surface_distance",
    "medoid_iou",
    "relative_fair_crps_volume",
    "relative_fair_crps_surface_area",
    "relative_fair_crps_z_extent",
    "ged_squared",
    "fair_brier",
)
"""Scores of which every pair of methods is compared."""


_SOME_NEW = "The others stand apart, and --held-out-only compares them alone."
_ALL_LEARNED = (
    "Take weights that kept cells out of their training: dispr reconstruct --held-out-only with your own, or "
    "a folder of folds."
)


@dataclass(frozen=True)
class Evaluation:
    """Everything that was found.

    Attributes
    ----------
    match
        What was compared: methods with their stores, cells, and what was left out.
    truth
        Where the truths are.
    scores
        By method and cell.
    summaries
        By method.
    comparisons
        By score, one for each pair of methods.
    classes
        Class of each compared cell; ``""`` where there are none.
    learning
        By method: scores on cells that its weights learned from, apart from those on the others.
    failed
        By method, the cells it could not reconstruct, and why; they are scored as empty shapes.
    broken
        Matched cells whose truth cannot be used, or whose volumes cannot be read, and why.
    notes
        What a reader of single cells' scores should know.
    micrometres
        Whether lengths are in micrometres; else in voxels. Areas and volumes are their powers.
    folder, files
        Where the results were written.
    """

    match: Match
    truth: Path
    scores: dict[str, dict[str, CellScores]]
    summaries: dict[str, MethodSummary]
    comparisons: dict[str, list[Comparison]]
    classes: dict[str, str]
    learning: dict[str, LearningScores]
    failed: dict[str, dict[str, str]]
    broken: tuple[LeftOut, ...]
    notes: tuple[LeftOut, ...]
    micrometres: bool
    folder: Path
    files: tuple[Path, ...] = ()

    @property
    def has_classes(self) -> bool:
        """Whether cells were given classes."""
        return any(name != NO_CLASS for name in self.classes.values())

    def tables(self, *, short: bool = False) -> list[WordTable]:
        """Return the results as tables of words; the short form is what fits a screen.

        Its pairs are those of the first method; with many methods all pairs would bury the rest.
        """
        failed = {method: len(cells) for method, cells in self.failed.items()}
        unit = UNITS[self.micrometres]
        tables = [score_table(self.summaries, failed, unit), spread_table(self.summaries)]
        if not short:
            tables.insert(1, further_table(self.summaries, unit))
        if any(found.cells[LEARNED] for found in self.learning.values()):
            by_state = {
                (method, state): scores
                for method, found in self.learning.items()
                for state, scores in found.scores.items()
            }
            tables.insert(1, learning_table(by_state, unit))
        if self.has_classes:
            tables.append(class_table(self.summaries, unit, only_macro=short))
        if self.comparisons:
            pairs = self._pairs_of_the_first() if short else self.comparisons
            tables.append(pair_table(pairs, HEADLINE if short else PAIRED_SCORES, unit))
        return tables

    def _pairs_of_the_first(self) -> dict[str, list[Comparison]]:
        first = self.match.methods[0].name
        return {
            score: [pair for pair in pairs if first in (pair.first, pair.second)]
            for score, pairs in self.comparisons.items()
        }

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """All cells of the stores that are not compared, and why."""
        return (*self.match.left_out, *self.broken)

    @property
    def unfinished(self) -> bool:
        """Whether a method has not come to some of the cells yet."""
        return any(item.unfinished for item in self.match.left_out)

    def content(self) -> dict[str, Any]:
        """Return what the summary file holds."""
        return {
            "format": FORMAT,
            "version": __version__,
            "truth": self.truth,
            "unit": "um" if self.micrometres else "voxel",
            "cells": len(self.classes),
            "classes": dict(Counter(self.classes.values())) if self.has_classes else {},
            "left_out": {item.cell: item.reason for item in self.left_out},
            "unused_truths": self.match.unused_truths,
            "notes": [[item.cell, item.reason] for item in self.notes],
            "methods": {
                method.name: {
                    "store": method.store.path,
                    "samples_per_cell": method.store.num_samples,
                    "configuration": method.store.configuration,
                    "failed": self.failed[method.name],
                    "learning": self.learning[method.name].content(),
                    **method_content(self.summaries[method.name]),
                }
                for method in self.match.methods
            },
            "comparisons": comparison_content(self.comparisons),
        }

    def short_content(self) -> dict[str, Any]:
        """Return the headline numbers and where the files are, for scripts."""
        means = {
            method: {score: groups["all"].mean for score, groups in summary.summaries.items()}
            for method, summary in self.summaries.items()
        }
        content = {
            "folder": self.folder,
            "files": self.files,
            "cells": len(self.classes),
            "unit": "um" if self.micrometres else "voxel",
            "left_out": {item.cell: item.reason for item in self.left_out},
            "unused_truths": self.match.unused_truths,
            "failed": self.failed,
            "means": means,
            "learning": {
                method: {"counts": found.counts(), "means": _means(found)}
                for method, found in self.learning.items()
            },
            "comparisons": comparison_content(self.comparisons),
        }
        plain: dict[str, Any] = plain_content(content)
        return plain

    def warnings(self) -> list[str]:
        """Return in sentences which scores say nothing of new cells."""
        some_new = all(set(found.scores) - {LEARNED} for found in self.learning.values())
        how = _SOME_NEW if some_new else _ALL_LEARNED
        warnings = [found.warning(method, how) for method, found in self.learning.items()]
        return [warning for warning in warnings if warning is not None]

    def facts(self) -> list[str]:
        """Return in sentences what the tables are about, and what is missing from them."""
        unit = UNITS[self.micrometres]
        source = self.truth.name
        facts = [f"{_cells(len(self.classes))} against the ground truths of {source}; lengths in {unit}."]
        facts += self.warnings() or ["No method's weights learned from any of these cells."]
        if self.left_out:
            facts.append(f"Not compared, with the reasons in summary.json: {_cells(len(self.left_out))}.")
        for method, cells in self.failed.items():
            if cells:
                some = ", ".join(list(cells)[:5]) + (" ..." if len(cells) > 5 else "")
                facts.append(f"{method} failed on {_cells(len(cells))}, counted as empty shapes: {some}.")
        if self.notes:
            facts.append(
                f"Notes on single ground truths stand in summary.json, on {_cells(len(self.notes))}."
            )
        return facts


def _means(found: LearningScores) -> dict[str, dict[str, float]]:
    return {
        state: {score: summary.mean for score, summary in scores.items()}
        for state, scores in found.scores.items()
    }


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"
