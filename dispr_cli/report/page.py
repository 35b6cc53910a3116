"""A sheet of paper measured in inches, on which pictures, lines and words are placed."""

from __future__ import annotations

import io
from bisect import bisect_left
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patheffects import withStroke
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

from dispr_cli.durable import remove_partial_files, replace_bytes
from dispr_cli.errors import StoreError

FONT = "DejaVu Sans"
INK = "#222222"
FAINT = "#777777"
KNOWN = "#E69F00"
"""Orange of Okabe and Ito: everything that was given, such as the outline of the mask."""

_UNKNOWN_GLYPH = "\ufffd"


class Page:
    """One picture; positions and sizes are inches from the top left corner.

    Parameters
    ----------
    width, height
        Size in inches.
    """

    def __init__(self, width: float, height: float) -> None:
        # A Figure of its own instead of pyplot: no display, no global state.
        self.figure = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.axes.axis("off")

    def image(
        self, x: float, y: float, width: float, height: float, pixels: NDArray[Any], **options: Any
    ) -> None:
        """Place a picture; `options` are those of matplotlib's ``imshow``."""
        extent = (x, x + width, y + height, y)
        options = {"interpolation": "bilinear", "aspect": "auto", **options}
        self.axes.imshow(pixels, extent=extent, **options)
        # imshow moves the limits of the axes to its own picture.
        self.axes.set(xlim=(0, self.figure.get_figwidth()), ylim=(self.figure.get_figheight(), 0))

    def line(self, x: Any, y: Any, **options: Any) -> None:
        """Draw a line through points; `options` are those of matplotlib's ``plot``."""
        self.axes.plot(x, y, **{"solid_capstyle": "butt", "linewidth": 0.8, "color": INK, **options})

    def text(self, x: float, y: float, words: str, size: float, **options: Any) -> None:
        """Write words; names from files are taken letter by letter, never as formulas."""
        options = {"color": INK, "ha": "center", "va": "center", **options}
        self.axes.text(x, y, printable(words), size=size, family=FONT, parse_math=False, **options)

    def text_on_picture(self, x: float, y: float, words: str, size: float, **options: Any) -> None:
        """Write words that stay readable on light and dark."""
        stroke = [withStroke(linewidth=1.2, foreground="black", alpha=0.7)]
        self.text(x, y, words, size, **{"color": "white", "path_effects": stroke, **options})

    def save(self, path: Path, dots_per_inch: int) -> None:
        """Write the page as PNG, whole or not at all.

        Raises
        ------
        StoreError
            If the file cannot be written.
        """
        content = io.BytesIO()
        self.figure.savefig(content, format="png", dpi=dots_per_inch)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_partial_files(path.parent, path.name)
            replace_bytes(path, content.getvalue())
        except OSError as error:
            raise StoreError(f"{path}: the picture cannot be written: {error.strerror or error}.") from error


def shortened(words: str, size: float, width: float, weight: str = "normal") -> str:
    """Return words that fit into a width in inches, their middle left out where they are too long."""
    words = printable(words)
    if _width(words, size, weight) <= width:
        return words
    too_many = bisect_left(
        range(2, len(words)), width, key=lambda kept: _width(_without_middle(words, kept), size, weight)
    )
    return _without_middle(words, max(too_many + 1, 2))


def _without_middle(words: str, kept: int) -> str:
    return f"{words[: (kept + 1) // 2]}…{words[-(kept // 2) :]}"


def printable(words: str) -> str:
    """Return words in which letters that cannot be drawn are replaced by a sign that says so."""
    return "".join(letter if _has_glyph(letter) else _UNKNOWN_GLYPH for letter in words)


def _width(words: str, size: float, weight: str) -> float:
    if not words.strip():
        return 0.0
    path = TextPath(
        (0, 0), words.replace("$", "S"), size=size, prop=FontProperties(family=FONT, weight=weight)
    )
    return float(np.ptp(path.vertices[:, 0])) / 72


@cache
def _has_glyph(letter: str) -> bool:
    return letter.isprintable() and get_font(findfont(FONT)).get_char_index(ord(letter)) != 0
