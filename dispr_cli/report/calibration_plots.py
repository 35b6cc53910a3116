"""Is the spread of the samples honest? Coverage, ranks and the voxels' votes, by method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from scipy.stats import binom

from dispr_cli.report.charts import FULL_WIDTH, Look, chart, footnote, label_panels, looks, style
from dispr_cli.report.page import FAINT, printable
from dispr_cli.shape.calibration import VoxelReliability
from dispr_cli.shape.comparison import Calibration, MethodSummary

TITLES = {"volume": "Volume", "surface_area": "Surface area", "z_extent": "Height (z)"}

_BAND: dict[str, Any] = {"color": "#E4E4E4", "linewidth": 0, "zorder": 0}
_IDEAL: dict[str, Any] = {"color": FAINT, "linewidth": 0.8, "linestyle": (0, (3, 2)), "zorder": 1}
_HEIGHT = 4.05


def draw_calibration(summaries: Mapping[str, MethodSummary]) -> Figure | None:
    """Draw coverage, rank histograms and the reliability of the voxel vote.

    Parameters
    ----------
    summaries
        By method. Methods with one sample a cell, or with equal ones, are named below.

    Returns
    -------
    Figure or None
        None if no method has several samples.
    """
    spread = {name: summary for name, summary in summaries.items() if has_spread(summary)}
    if not spread:
        return None
    look = looks(list(summaries))
    with style():
        figure = chart(FULL_WIDTH, _HEIGHT)
        upper, lower = figure.subplots(2, len(TITLES) + 1, squeeze=False)
        for column, (quantity, title) in enumerate(TITLES.items()):
            calibrations = {name: summary.calibration[quantity] for name, summary in spread.items()}
            _draw_coverage(upper[column], calibrations, look)
            _draw_ranks(lower[column], calibrations, look)
            upper[column].set_title(title)
        votes = {name: s.reliability for name, s in spread.items() if s.reliability is not None}
        _draw_reliability(upper[-1], votes, look)
        _draw_votes(lower[-1], votes, look)
        _write_around(figure, upper, lower, summaries, spread)
    return figure


def has_spread(summary: MethodSummary) -> bool:
    """Whether a method draws several samples of every cell, equally many, and they differ."""
    skills = [calibration.spread_skill for calibration in summary.calibration.values()]
    return any(skill > 0 for skill in skills)


def _draw_coverage(panel: Axes, calibrations: Mapping[str, Calibration], look: Mapping[str, Look]) -> None:
    cells = min(int(calibration.ranks.sum()) for calibration in calibrations.values())
    nominal = np.linspace(0, 1, 101)
    low, high = chance_band(nominal, cells)
    panel.fill_between(100 * nominal, 100 * low, 100 * high, **_BAND)
    panel.plot([0, 100], [0, 100], **_IDEAL)
    for name, calibration in calibrations.items():
        panel.plot(100 * calibration.nominal, 100 * calibration.observed, **_line(look[name], name))
    _square(panel)


def _draw_ranks(panel: Axes, calibrations: Mapping[str, Calibration], look: Mapping[str, Look]) -> None:
    """Draw how often the truth has each rank, relative to how often it should: honest is 1."""
    fewest = min(int(calibration.ranks.sum()) for calibration in calibrations.values())
    classes = {len(calibration.ranks) for calibration in calibrations.values()}
    if len(classes) == 1:
        number = classes.pop()
        low, high = chance_band(np.array([1 / number]), fewest)
        panel.axhspan(number * low[0], number * high[0], **_BAND)
    panel.axhline(1, **_IDEAL)
    for name, calibration in calibrations.items():
        places = np.linspace(0, 1, len(calibration.ranks))
        share = calibration.ranks / calibration.ranks.sum()
        panel.plot(places, share / calibration.honest_ranks, **_line(look[name], name))
    panel.set_xticks([0, 0.5, 1], ["lowest", "middle", "highest"])
    panel.set(xlim=(-0.08, 1.08), ylim=(0, None))


def _draw_reliability(panel: Axes, votes: Mapping[str, VoxelReliability], look: Mapping[str, Look]) -> None:
    panel.plot([0, 100], [0, 100], **_IDEAL)
    for name, vote in votes.items():
        panel.plot(100 * vote.probability, 100 * vote.observed, **_line(look[name], name))
    panel.set_title("Voxels")
    _square(panel)


def _draw_votes(panel: Axes, votes: Mapping[str, VoxelReliability], look: Mapping[str, Look]) -> None:
    lowest = 10.0
    for name, vote in votes.items():
        share = 100 * vote.voxels / vote.voxels.sum()
        lowest = min(lowest, float(share[share > 0].min()))
        panel.plot(100 * vote.probability, np.where(share > 0, share, np.nan), **_line(look[name], name))
    # Whole decades, so that more than one of them is labelled.
    panel.set(xlim=(-5, 105), yscale="log", ylim=(10 ** np.floor(np.log10(lowest)), 100))
    panel.set_xticks([0, 50, 100])
    panel.yaxis.set_major_formatter(lambda share, _: f"{share:g}")
    panel.yaxis.set_minor_formatter(NullFormatter())


def chance_band(probability: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of cells between which 95 % of honest methods lie, by chance alone (binomial)."""
    return binom.ppf(0.025, cells, probability) / cells, binom.ppf(0.975, cells, probability) / cells


def _line(look: Look, name: str) -> dict[str, Any]:
    shape = {"marker": look.marker, "markersize": 3.2, "linestyle": look.line, "linewidth": 1.0}
    return {"color": look.colour, "label": printable(name), "clip_on": False, "zorder": 3, **shape}


def _square(panel: Axes) -> None:
    panel.set(xlim=(0, 100), ylim=(0, 100))
    panel.set_xticks([0, 50, 100])
    panel.set_yticks([0, 50, 100])


def _write_around(
    figure: Figure,
    upper: np.ndarray,
    lower: np.ndarray,
    summaries: Mapping[str, MethodSummary],
    spread: Mapping[str, MethodSummary],
) -> None:
    for panel in upper[:-1]:
        panel.set_xlabel("nominal (%)")
    for panel in lower[:-1]:
        panel.set_xlabel("rank of the truth")
    upper[0].set_ylabel("truths inside the\ncentral interval (%)")
    lower[0].set_ylabel("frequency, relative\nto an honest spread")
    upper[-1].set(xlabel="votes for the voxel (%)", ylabel="true voxels (%)")
    lower[-1].set(xlabel="votes for the voxel (%)", ylabel="share of voxels (%)")
    label_panels([*upper, *lower])
    handles, labels = upper[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 5))
    single = [printable(name) for name in summaries if name not in spread]
    note = "Grey: 95 % of honest spreads lie here by chance."
    footnote(figure, f"{note} No spread to judge: {', '.join(single)}." if single else note)
