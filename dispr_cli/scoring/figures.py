"""The figures of an evaluation, from scores and stores to files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dispr_cli.report.calibration_plots import draw_calibration
from dispr_cli.report.charts import encoded
from dispr_cli.report.ranking import RankedCell, RankedShape, choose_ranked, draw_ranking
from dispr_cli.report.violins import draw_violins
from dispr_cli.scoring.cells import Measuring, read_samples, read_truth_on_grid
from dispr_cli.scoring.files import write_figure
from dispr_cli.scoring.matching import ComparedMethod, Match
from dispr_cli.scoring.truths import Truths
from dispr_cli.shape.comparison import MethodSummary, cell_scores
from dispr_cli.shape.measures import CellScores
from dispr_cli.shape.samples import voxel_vote

FIGURE_4 = {
    "Volume": "volume_error",
    "Surface area": "surface_error",
    "Roughness": "roughness_error",
    "Mean curvature": "mean_curvature_error",
}
"""Panels of the violins and their scores."""

MOST_COLUMNS = 5
"""Methods that the picture of cells shows; of more, the first ones."""

Scores = Mapping[str, Mapping[str, CellScores]]


def write_figures(
    folder: Path,
    scores: Scores,
    summaries: Mapping[str, MethodSummary],
    match: Match,
    truths: Truths,
    measuring: Measuring,
) -> list[Path]:
    """Draw errors, calibration and cells, each as PNG and SVG.

    Parameters
    ----------
    folder
        Where to write.
    scores, summaries
        By method.
    match, truths, measuring
        What was compared, to read the volumes of the cells that are drawn.

    Returns
    -------
    list of Path
        The files; no calibration where no method has several samples.
    """
    panels = {title: _by_method(scores, score) for title, score in FIGURE_4.items()}
    cells = len(next(iter(scores.values())))
    note = f"{cells} cells; one value is one cell's mean over its samples."
    files = write_figure(folder, "errors", encoded(draw_violins(panels, note)))
    calibration = draw_calibration(summaries)
    if calibration is not None:
        files += write_figure(folder, "calibration", encoded(calibration))
    rows = _ranked_cells(scores, match, truths, measuring)
    title = f"ranked by the IoU of one random sample of {match.methods[0].name}"
    page = draw_ranking(rows, title)
    return files + write_figure(folder, "cells", encoded(page.figure, dots_per_inch=240))


def _by_method(scores: Scores, score: str) -> dict[str, NDArray[np.float64]]:
    return {
        method: np.array([cell_scores(values)[score] for values in cells.values()])
        for method, cells in scores.items()
    }


def _ranked_cells(scores: Scores, match: Match, truths: Truths, measuring: Measuring) -> list[RankedCell]:
    first = match.methods[0]
    by_cell = {cell: cell_scores(values)["iou"] for cell, values in scores[first.name].items()}
    rows = []
    for cell, group in choose_ranked(by_cell):
        truth = read_truth_on_grid(match, truths, measuring, cell, first)
        shapes: dict[str, RankedShape] = {}
        for method in match.methods[:MOST_COLUMNS]:
            shapes |= _shapes(method, cell, scores[method.name][cell], alone=len(match.methods) == 1)
        rows.append(RankedCell(cell, group, truth, shapes))
    return rows


def _shapes(method: ComparedMethod, cell: str, scores: CellScores, *, alone: bool) -> dict[str, RankedShape]:
    """Return the medoid of a method, and beside it the vote where there is room."""
    samples = read_samples(method, cell)
    medoid = RankedShape(samples[scores.medoid], _words(scores.samples[scores.medoid], scores.truth))
    if not alone:
        return {method.name: medoid}
    if len(samples) == 1:
        return {"Reconstruction": medoid}
    vote = np.rint(255 * voxel_vote(list(samples))).astype(np.uint8)
    return {
        "Medoid sample": medoid,
        f"Vote of {len(samples)}": RankedShape(vote, _words(scores.vote, scores.truth)),
    }


def _words(values: Mapping[str, float], truth: Mapping[str, float]) -> str:
    if values["empty"]:
        return "failed: nothing there"
    too_large = values["volume"] / truth["volume"] - 1
    return f"IoU {values['iou']:.2f}, volume {100 * too_large:+.0f} %"
