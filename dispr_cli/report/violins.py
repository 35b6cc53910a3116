"""Errors of all cells by method, as the violins of Fig. 4 of the DISPR paper (arXiv 2208.14125)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dispr_cli.report.charts import FULL_WIDTH, SMALL, Look, chart, footnote, label_panels, looks, style
from dispr_cli.report.page import FAINT, INK, printable, shortened

Errors = Mapping[str, NDArray[np.float64]]
"""One relative error (1 is 100 %) a cell, by method."""

_ROW, _AROUND = 0.46, 0.95
_MOST_DOTS = 400
_NAME_WIDTH = 1.1
# Errors have long tails; the axis ends here, and what lies beyond is counted beside it.
_SHOWN_SHARE = 0.97


def draw_violins(panels: Mapping[str, Errors], note: str = "") -> Figure:
    """Draw one panel for each error, one violin for each method.

    Parameters
    ----------
    panels
        By the error's title; every panel has the same methods.
    note
        Written below, such as what one value of the violins is.

    Returns
    -------
    Figure
        To be encoded with :func:`~dispr_cli.report.charts.encoded`.
    """
    methods = list(next(iter(panels.values())))
    with style():
        figure = chart(FULL_WIDTH, _AROUND + _ROW * len(methods))
        axes: Sequence[Axes] = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for panel, (title, errors) in zip(axes, panels.items(), strict=True):
            _draw_panel(panel, errors, looks(methods))
            panel.set(title=title, xlabel="relative error (%)")
        shown = [shortened(printable(method), SMALL, _NAME_WIDTH) for method in methods]
        axes[0].set_yticks(range(len(methods)), shown)
        axes[0].set_ylim(len(methods) - 0.45, -0.55)
        label_panels(axes)
        footnote(figure, f"{note} White dot: median; bar: quartiles; number: mean.".strip())
    return figure


def _draw_panel(panel: Axes, errors: Errors, look: Mapping[str, Look]) -> None:
    limit = axis_limit([100 * values for values in errors.values()])
    for place, (method, values) in enumerate(errors.items()):
        percent = 100 * values[~np.isnan(values)]
        shown = percent[percent <= limit]
        if len(shown):
            _draw_violin(panel, place, shown, percent, look[method].colour)
        _write_numbers(panel, place, percent, limit)
    panel.set_xlim(0, limit)
    panel.tick_params(axis="y", length=0)
    panel.spines["left"].set_visible(False)
    panel.grid(axis="x", color="#DDDDDD", linewidth=0.5)
    panel.set_axisbelow(True)


def axis_limit(errors: Sequence[NDArray[np.float64]]) -> float:
    """Choose where the axis ends: at the largest error, unless a few of them would squeeze all others."""
    finite = [values[np.isfinite(values)] for values in errors]
    known = np.concatenate(finite)
    if len(known) == 0 or known.max() == 0:
        return 1.0
    ends = [float(np.quantile(values, _SHOWN_SHARE)) for values in finite if len(values)]
    return float(min(known.max(), 1.4 * max(max(ends), 1e-3)) * 1.04)


def _draw_violin(
    panel: Axes, place: int, shown: NDArray[np.float64], percent: NDArray[np.float64], colour: str
) -> None:
    if len(np.unique(shown)) > 2:
        outline, density = _density(shown)
        half = 0.30 * density / density.max()
        body: dict[str, Any] = {"facecolor": to_rgba(colour, 0.35), "edgecolor": colour, "linewidth": 0.7}
        panel.fill_between(outline, place - half, place + half, zorder=1, **body)
    if len(shown) <= _MOST_DOTS:
        # Always the same scatter, so that a figure drawn again is the same figure.
        scatter = np.random.default_rng(place).uniform(-0.13, 0.13, len(shown))
        panel.scatter(shown, place + scatter, s=3, color=colour, alpha=0.55, linewidths=0, zorder=3)
    # An infinite error lies beyond the axis like any other that is too large for it.
    low, middle, high = np.quantile(np.minimum(percent, 1e9), [0.25, 0.5, 0.75])
    panel.plot([low, high], [place, place], color=INK, linewidth=2.2, solid_capstyle="butt", zorder=4)
    panel.scatter([middle], [place], s=11, color="white", edgecolors=INK, linewidths=0.6, zorder=5)


def _density(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Estimate the density between the extremes; errors end at 0, so it is mirrored there."""
    from scipy.stats import gaussian_kde

    estimate = gaussian_kde(values)
    places = np.linspace(values.min(), values.max(), 200)
    return places, estimate(places) + estimate(-places)


def _write_numbers(panel: Axes, place: int, percent: NDArray[np.float64], limit: float) -> None:
    mean = float(percent.mean()) if len(percent) else float("nan")
    words = f"{mean:.1f} %" if np.isfinite(mean) else ("∞" if np.isinf(mean) else "–")
    beyond = int((percent > limit).sum())
    right: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": SMALL - 0.5}
    panel.text(limit, place - 0.31, words, color=INK, **right)
    if beyond:
        panel.text(limit, place + 0.44, f"{beyond} beyond →", color=FAINT, **right)
