"""What all charts share: type, colours that everyone can tell apart, PNG and SVG."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dispr_cli.report.page import FAINT, FONT, INK

FULL_WIDTH = 7.2
"""Inches across two columns of a journal's page."""

SMALL, NORMAL = 6.5, 7.5
"""Sizes of type in points, at that width."""

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#888888")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)))

_STYLE = {
    "font.family": [FONT],
    "font.size": NORMAL,
    "axes.titlesize": NORMAL + 0.5,
    "axes.titleweight": "bold",
    "axes.labelsize": NORMAL,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "text.color": INK,
    # Names from files are taken letter by letter, never as formulas.
    "text.parse_math": False,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "svg.fonttype": "none",
    "svg.hashsalt": "dispr",
}


@dataclass(frozen=True, slots=True)
class Look:
    """How a method is drawn: told apart by colour, and by marker and line without colour."""

    colour: str
    marker: str
    line: str | tuple[int, tuple[float, ...]]


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """Give each method its look, in the palette of Okabe and Ito."""
    count = len(_COLOURS)
    return {
        method: Look(
            _COLOURS[place % count],
            _MARKERS[(place + place // count) % count],
            _DASHES[place // count % len(_DASHES)],
        )
        for place, method in enumerate(methods)
    }


@contextmanager
def style() -> Iterator[None]:
    """Draw with the type and lines of our charts; matplotlib's own settings come back afterwards."""
    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]
        yield


def chart(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches that fits its parts to each other.

    A figure of its own instead of pyplot: no display, no global state.
    """
    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def footnote(figure: Figure, words: str) -> None:
    """Write below everything else."""
    figure.supxlabel(words, x=0.01, ha="left", fontsize=SMALL, color=FAINT)


def label_panels(axes: Sequence[Axes]) -> None:
    """Letter the panels a, b, c, ... as papers refer to them."""
    for letter, panel in zip("abcdefghijklmnopqrstuvwxyz", axes, strict=False):
        panel.annotate(
            letter,
            (0, 1),
            xytext=(-6, 5),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            fontweight="bold",
            fontsize=NORMAL + 1.5,
        )


def encoded(figure: Figure, dots_per_inch: int = 300) -> dict[str, bytes]:
    """Return a figure as PNG and SVG by the ending of the file; the same figure gives the same bytes."""
    files = {}
    with style():
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            content = io.BytesIO()
            figure.savefig(content, format=kind, dpi=dots_per_inch, metadata=metadata)
            files[f".{kind}"] = content.getvalue()
    return files
