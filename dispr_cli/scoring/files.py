"""The files of an evaluation besides its figures: tidy CSV, summary JSON, Markdown tables."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dispr_cli.durable import explained, replace_bytes, replaced
from dispr_cli.report.score_tables import WordTable
from dispr_cli.shape.comparison import Calibration, MethodSummary
from dispr_cli.shape.measures import CellScores
from dispr_cli.shape.statistics import Comparison
from dispr_cli.volumes.formulas import guarded

SCORES, SUMMARY, TABLES = "scores.csv", "summary.json", "tables.md"
FIGURES = ("errors", "calibration", "cells")
FORMAT = "dispr-evaluation/1"
COLUMNS = ("cell", "class", "method", "sample", "measure", "value")


class ScoresFile:
    """The tidy table while it is written."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def write(self, cell: str, cell_class: str, method: str, scores: CellScores) -> None:
        """Write all numbers of one cell and one method."""
        start = [guarded(word) for word in (cell, cell_class, method)]
        self._rows.writerows(
            [*start, sample, measure, f"{value:.9g}"] for sample, measure, value in scores.rows()
        )


@contextmanager
def scores_file(folder: Path) -> Iterator[ScoresFile]:
    """Open the tidy table; it takes its name when the block ends, and nothing is left after an interruption.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    with explained(folder, "write the evaluation"):
        folder.mkdir(parents=True, exist_ok=True)
        with replaced(folder / SCORES) as file:
            text = io.TextIOWrapper(file, "utf-8", errors="backslashreplace", newline="")
            rows = csv.writer(text, lineterminator="\n")
            rows.writerow(COLUMNS)
            yield ScoresFile(rows)
            text.flush()
            text.detach()


def write_summary(folder: Path, content: Mapping[str, Any]) -> Path:
    """Write the summary as JSON; what is no finite number becomes null."""
    return _write(folder / SUMMARY, json.dumps(plain_content(content), indent=1, ensure_ascii=False) + "\n")


def write_tables(folder: Path, title: str, facts: Sequence[str], tables: Sequence[WordTable]) -> Path:
    """Write the tables as Markdown below a title and a list of facts."""
    head = f"# {title}\n\n" + "".join(f"- {fact}\n" for fact in facts)
    return _write(folder / TABLES, "\n".join([head, *(table.markdown() for table in tables)]))


def method_content(summary: MethodSummary) -> dict[str, Any]:
    """Return what the summary tells of one method."""
    reliability = summary.reliability
    voxels = (
        None
        if reliability is None
        else {
            "probability": reliability.probability,
            "observed": reliability.observed,
            "voxels": reliability.voxels,
            "brier": reliability.brier_score,
            "fair_brier": reliability.fair_brier_score,
            "calibration_error": reliability.calibration_error,
        }
    )
    return {
        "samples": summary.samples,
        "empty_samples": summary.failures,
        "scores": {
            score: {group: dataclasses.asdict(values) for group, values in groups.items()}
            for score, groups in summary.summaries.items()
        },
        "calibration": {name: _calibration(values) for name, values in summary.calibration.items()},
        "voxel_vote": voxels,
    }


def comparison_content(comparisons: Mapping[str, Sequence[Comparison]]) -> dict[str, Any]:
    """Return the paired comparisons by score."""
    return {score: [dataclasses.asdict(pair) for pair in pairs] for score, pairs in comparisons.items()}


def remove_old_figures(folder: Path, files: Sequence[Path]) -> None:
    """Remove the figures of an earlier evaluation that this one has not drawn anew."""
    for name in FIGURES:
        for ending in (".png", ".svg"):
            path = folder / f"{name}{ending}"
            if path not in files:
                with explained(path, "remove the old figure"):
                    path.unlink(missing_ok=True)


def write_figure(folder: Path, name: str, contents: Mapping[str, bytes]) -> list[Path]:
    """Write a figure in each of its formats, by the ending of the file."""
    paths = []
    for ending, content in contents.items():
        path = folder / f"{name}{ending}"
        with explained(path, "write the figure"):
            folder.mkdir(parents=True, exist_ok=True)
            replace_bytes(path, content)
        paths.append(path)
    return paths


def _calibration(values: Calibration) -> dict[str, Any]:
    return {
        "nominal": values.nominal,
        "observed": values.observed,
        "ranks": values.ranks,
        "honest_ranks": values.honest_ranks,
        "spread_skill": values.spread_skill,
    }


def _write(path: Path, text: str) -> Path:
    with explained(path, "write the evaluation"):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(path, text.encode("utf-8", "backslashreplace"))
    return path


def plain_content(value: Any) -> Any:
    """Return what JSON can hold: arrays as lists, paths as text, what is no finite number as null."""
    match value:
        case Mapping():
            return {str(key): plain_content(entry) for key, entry in value.items()}
        case list() | tuple() | np.ndarray():
            return [plain_content(entry) for entry in value]
        case Path():
            return str(value)
        case np.generic():
            return plain_content(value.item())
        case float():
            return value if math.isfinite(value) else None
        case _:
            return value
