"""Figures of a classification: scores of the variants, and who is taken for whom (DISPR paper, Fig. 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dispr_cli.report.charts import FULL_WIDTH, NORMAL, SMALL, chart, footnote, label_panels, style
from dispr_cli.report.page import FAINT, INK, printable, shortened

_BLUE, _GREY = "#0072B2", "#888888"
_ROW, _AROUND = 0.27, 0.95
_NAME_WIDTH, _CLASS_WIDTH = 2.1, 0.95
_MATRIX, _MATRIX_AROUND = 2.25, 1.0
_COLUMNS = 3


@dataclass(frozen=True, eq=False)
class DrawnScores:
    """What is drawn of one variant.

    Attributes
    ----------
    macro_f1
        (R,) one for each repetition.
    interval
        Of their mean, over cells.
    class_f1
        (C,) mean F1 of each class.
    confusion
        (C, C + 1) mean counts: rows true, columns answered, the last one without an answer.
    """

    macro_f1: NDArray[np.float64]
    interval: tuple[float, float]
    class_f1: NDArray[np.float64]
    confusion: NDArray[np.float64]


def draw_class_scores(scores: Mapping[str, DrawnScores], classes: Sequence[str], note: str = "") -> Figure:
    """Draw the macro F1 of each variant with its interval, and the F1 of each class.

    Parameters
    ----------
    scores
        By the variant's title; the first one is what the others are compared with.
    classes
        Names of the classes, as long as each ``class_f1``.
    note
        Written below.

    Returns
    -------
    Figure
        To be encoded with :func:`~dispr_cli.report.charts.encoded`.
    """
    with style():
        figure = chart(FULL_WIDTH, _AROUND + _ROW * len(scores))
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
        _draw_macro(left, scores)
        _draw_by_class(right, scores, classes)
        names = [shortened(printable(title), SMALL, _NAME_WIDTH) for title in scores]
        left.set_yticks(range(len(names)), names)
        left.set_ylim(len(names) - 0.4, -0.6)
        left.tick_params(axis="y", length=0)
        right.tick_params(axis="y", length=0)
        label_panels([left, right])
        words = "Dots: repetitions; line: mean and 95 % interval over cells; dashed: the first row."
        footnote(figure, f"{note} {words}".strip())
    return figure


def _draw_macro(panel: Axes, scores: Mapping[str, DrawnScores]) -> None:
    first = next(iter(scores.values()))
    panel.axvline(float(first.macro_f1.mean()), color=FAINT, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0)
    for place, found in enumerate(scores.values()):
        mean, (low, high) = float(found.macro_f1.mean()), found.interval
        panel.plot([low, high], [place, place], color=_BLUE, linewidth=1.4, solid_capstyle="butt")
        panel.plot([mean], [place], marker="|", color=_BLUE, markersize=9, markeredgewidth=1.8)
        spread = place + np.linspace(-0.18, 0.18, len(found.macro_f1))
        panel.plot(found.macro_f1, spread, linestyle="", marker="o", markersize=2.2, color=_GREY, alpha=0.9)
        panel.annotate(
            f"{mean:.2f}",
            (1, place),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
        )
    lowest = min(min(found.interval[0], float(found.macro_f1.min())) for found in scores.values())
    panel.set_xlim(max(0.0, np.floor((lowest - 0.02) * 10) / 10), 1.0)
    panel.set(title="all classes", xlabel="macro F1")
    panel.grid(axis="x", color="#DDDDDD", linewidth=0.5)
    panel.set_axisbelow(True)


def _draw_by_class(panel: Axes, scores: Mapping[str, DrawnScores], classes: Sequence[str]) -> None:
    """Draw a table of coloured fields: a row for each variant, a column for each class."""
    table = np.array([found.class_f1 for found in scores.values()])
    panel.imshow(table, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for row, column in np.ndindex(*table.shape):
        value = float(table[row, column])
        panel.text(column, row, f"{value:.2f}", ha="center", va="center", size=SMALL, color=_on_blue(value))
    names = [shortened(printable(name), SMALL, _CLASS_WIDTH) for name in classes]
    panel.set_xticks(range(len(names)), names, rotation=25, ha="right", rotation_mode="anchor")
    panel.tick_params(length=0)
    panel.set_title("F1 of each class")
    for side in panel.spines.values():
        side.set_visible(False)


def draw_confusions(scores: Mapping[str, DrawnScores], classes: Sequence[str], note: str = "") -> Figure:
    """Draw for each variant which classes are taken for which, in shares of the true class.

    Parameters
    ----------
    scores, classes, note
        As for :func:`draw_class_scores`.
    """
    columns = min(_COLUMNS, len(scores))
    rows = -(-len(scores) // columns)
    with style():
        figure = chart(max(FULL_WIDTH * columns / _COLUMNS, 3.2), rows * _MATRIX + _MATRIX_AROUND)
        panels = figure.subplots(rows, columns, squeeze=False)
        drawn = list(panels.ravel())
        for panel in drawn[len(scores) :]:
            panel.axis("off")
        for number, (panel, (title, found)) in enumerate(zip(drawn, scores.items(), strict=False)):
            _draw_confusion(panel, found.confusion, classes)
            panel.tick_params(labelleft=number % columns == 0, labelbottom=number + columns >= len(scores))
            panel.set_title(shortened(printable(title), NORMAL, 2.0, "bold"))
        label_panels(drawn[: len(scores)])
        footnote(figure, f"{note} Rows: true class; columns: answer; per cent of the true class.".strip())
    return figure


def _draw_confusion(panel: Axes, confusion: NDArray[np.float64], classes: Sequence[str]) -> None:
    shares = confusion[:, :-1] / np.maximum(confusion.sum(axis=1, keepdims=True), 1e-12)
    panel.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for row, column in np.ndindex(*shares.shape):
        value = float(shares[row, column])
        panel.text(
            column, row, f"{100 * value:.0f}", ha="center", va="center", size=SMALL, color=_on_blue(value)
        )
    names = [shortened(printable(name), SMALL, _CLASS_WIDTH) for name in classes]
    panel.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
    panel.set_yticks(range(len(names)), names)
    panel.tick_params(length=0)


def _on_blue(value: float) -> str:
    return "white" if value > 0.6 else INK
