"""Cells that a method's weights were trained on: their scores say nothing of new cells, and stand apart."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dispr_cli.shape.comparison import cell_scores
from dispr_cli.shape.measures import CellScores
from dispr_cli.shape.statistics import Summary, summarise
from dispr_cli.volumes.rows import CellRow

LEARNED, NEW, UNKNOWN = "learned", "new", "unknown"
STATES = (LEARNED, NEW, UNKNOWN)
"""What a cell may be to the weights that reconstructed it."""


def state_of(row: CellRow, configuration: Mapping[str, Any], *, never_seen: bool) -> str:
    """Tell what a cell is to the weights behind a store.

    Parameters
    ----------
    row
        The cell's; it holds what the weights recorded when they reconstructed it.
    configuration
        The store's, which says of rules that they learn from no cell.
    never_seen
        The user says that the method was trained on none of the cells.

    Returns
    -------
    str
        One of :data:`STATES`. A cell that failed is new: it counts as an empty shape, whoever was trained.
    """
    if never_seen or configuration.get("learns") is False or row.is_failed:
        return NEW
    if row.learned is None:
        return UNKNOWN
    return LEARNED if row.learned else NEW


@dataclass(frozen=True)
class LearningScores:
    """A method's scores on the cells that its weights learned, apart from those on the others.

    Attributes
    ----------
    cells
        Names of the compared cells, by :data:`STATES`; empty ones are there too.
    scores
        By state, then by name of the score, as :func:`dispr_cli.shape.comparison.cell_scores` has them; only
        states with cells.
    """

    cells: dict[str, tuple[str, ...]]
    scores: dict[str, dict[str, Summary]]

    @property
    def total(self) -> int:
        """Compared cells."""
        return sum(map(len, self.cells.values()))

    def content(self) -> dict[str, Any]:
        """Return what the summary file holds."""
        scores = {
            state: {score: asdict(values) for score, values in summaries.items()}
            for state, summaries in self.scores.items()
        }
        return {"counts": self.counts(), "cells": self.cells, "scores": scores}

    def counts(self) -> dict[str, int]:
        """Cells of each state."""
        return {state: len(names) for state, names in self.cells.items()}

    def warning(self, method: str, alternative: str) -> str | None:
        """Say in one sentence what the method's scores over all cells are not; None if they are on new cells.

        Parameters
        ----------
        method
            Its name.
        alternative
            What to do where some or all cells were learned.
        """
        learned, unknown = len(self.cells[LEARNED]), len(self.cells[UNKNOWN])
        if learned:
            words = f"{learned} of {self.total} cells were learned by these weights"
            more = f", of {unknown} it is not recorded" if unknown else ""
            return f"{method}: {words}{more}: scores of those say nothing of new cells. {alternative}"
        if unknown:
            said = f"--never-seen {shlex.quote(method)}"
            return (
                f"{method}: it is not recorded whether {unknown} of {self.total} cells were learned; if they "
                f"were, its scores say nothing of new cells. If they were not, say {said}."
            )
        return None


def scores_by_learning(scores: Mapping[str, CellScores], states: Mapping[str, str]) -> LearningScores:
    """Average a method's scores over the cells of each state.

    Parameters
    ----------
    scores
        By cell.
    states
        By cell, from :func:`state_of`.
    """
    cells = {state: tuple(name for name in scores if states[name] == state) for state in STATES}
    return LearningScores(
        cells, {state: _summaries(scores, names) for state, names in cells.items() if names}
    )


def _summaries(scores: Mapping[str, CellScores], names: Collection[str]) -> dict[str, Summary]:
    by_cell = [cell_scores(scores[name]) for name in names]
    return {score: summarise([values[score] for values in by_cell]) for score in by_cell[0]}
