"""How noise becomes a cell: the denoising steps of one sample (as Fig. 1 of arXiv 2208.14125)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import SURFACE_LEVEL
from dispr_cli.report.page import FAINT, INK, Page, shortened
from dispr_cli.report.shading import CLAY, View, shade
from dispr_cli.report.tiles import GAP, OCCUPANCY, PLANE

Step = tuple[float, NDArray[np.floating[Any]], NDArray[np.uint8]]
"""(sigma, noisy volume, occupancy of the prediction from it); both volumes are (Z, Y, X)."""

MOST_STEPS = 9
"""Steps drawn; of a longer trajectory so many are chosen evenly, the first and the last among them."""

_SIDE = 0.95
_LEFT, _TOP, _RIGHT, _BOTTOM = 0.62, 0.74, 0.14, 0.40
_COLUMN = _SIDE + 0.07
# How many standard deviations of the noisy volume span grey to white.
_CONTRAST = 2.5
# Wide enough that a grid full of noise is seen as a cube.
_VIEW = View(extent=1.5)
_NOISE_COLOUR = (0.50, 0.58, 0.66)


def draw_trajectory(
    steps: Sequence[Step], out_png: Path, *, name: str = "", dots_per_inch: int = 240
) -> None:
    """Draw what the denoiser was given and what it answered at each step.

    Parameters
    ----------
    steps
        From the noisiest on: sigma (or t), the noisy volume in any units, and the occupancy (0..255) that
        was predicted from it.
    out_png
        The picture to write.
    name
        Of the cell, for the title.
    dots_per_inch
        Resolution.

    Raises
    ------
    ValueError
        If there are no steps.
    StoreError
        If the picture cannot be written.
    """
    if not steps:
        raise ValueError("a trajectory needs at least one step")
    _composed(steps, name).save(out_png, dots_per_inch)


def _composed(steps: Sequence[Step], name: str) -> Page:
    chosen = chosen_steps(len(steps), MOST_STEPS)
    rows = ("xy", "xz", "3D")
    height = _TOP + 2 * (len(rows) * (_SIDE + GAP)) + 0.12 + _BOTTOM
    width = max(_LEFT + len(chosen) * _COLUMN + _RIGHT, 3.2)
    page = Page(width, height)
    noisy_top = _TOP
    predicted_top = _TOP + len(rows) * (_SIDE + GAP) + 0.12
    _draw_header(page, name, len(steps), _LEFT + len(chosen) * _COLUMN)
    _draw_side(page, noisy_top, "noisy volume", rows)
    _draw_side(page, predicted_top, "prediction", rows)
    for column, index in enumerate(chosen):
        sigma, noisy, predicted = steps[index]
        x = _LEFT + column * _COLUMN
        page.text(x + _SIDE / 2, _TOP - 0.12, f"{index + 1}:  σ = {sigma:.3g}", 7)
        shown, surface = _noise_in_grey(noisy)
        _draw_column(page, x, noisy_top, shown, surface, _NOISE_COLOUR)
        _draw_column(page, x, predicted_top, predicted, predicted, CLAY)
    page.line([_LEFT, _LEFT + 0.25], [height - 0.2] * 2, **PLANE | {"linewidth": 0.8})
    page.text(_LEFT + 0.33, height - 0.2, "plane of the input", 6, ha="left", color=FAINT)
    return page


def chosen_steps(num_steps: int, most: int) -> list[int]:
    """Return at most `most` evenly spaced indices, the first and the last among them."""
    if num_steps <= most:
        return list(range(num_steps))
    return [int(index) for index in np.rint(np.linspace(0, num_steps - 1, most))]


def _noise_in_grey(noisy: NDArray[np.floating[Any]]) -> tuple[NDArray[np.floating[Any]], NDArray[np.uint8]]:
    """Return the noisy volume as grey values, its zero in the middle whatever its noise level."""
    scaled = noisy / max(float(np.std(noisy)), 1e-6) / _CONTRAST
    grey = SURFACE_LEVEL + SURFACE_LEVEL * np.clip(scaled, -1, 1)
    return grey, np.rint(grey).astype(np.uint8)


def _draw_header(page: Page, name: str, num_steps: int, right: float) -> None:
    title = f"Denoising of {name}" if name else "Denoising"
    page.text(_LEFT, 0.2, shortened(title, 8, right - _LEFT - 0.9, "bold"), 8, ha="left", weight="bold")
    page.text(right - 0.07, 0.2, f"{num_steps} step{'s' * (num_steps > 1)}", 7, ha="right", color=FAINT)
    arrow = {"arrowstyle": "-|>", "color": FAINT, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
    page.axes.annotate("", (right - 0.07, 0.42), (_LEFT, 0.42), arrowprops=arrow)


def _draw_side(page: Page, top: float, title: str, rows: Sequence[str]) -> None:
    height = len(rows) * (_SIDE + GAP) - GAP
    page.text(0.18, top + height / 2, title, 8, rotation=90, weight="bold")
    for index, row in enumerate(rows):
        page.text(0.44, top + index * (_SIDE + GAP) + _SIDE / 2, row, 7, rotation=90, color=INK)


def _draw_column(
    page: Page,
    x: float,
    y: float,
    volume: NDArray[Any],
    surface: NDArray[np.uint8],
    colour: tuple[float, float, float],
) -> None:
    middle = volume.shape[0] // 2
    below = y + _SIDE + GAP
    page.image(x, y, _SIDE, _SIDE, volume[middle], **OCCUPANCY)
    page.image(x, below, _SIDE, _SIDE, volume[::-1, middle], **OCCUPANCY)
    plane = below + (1 - (middle + 0.5) / volume.shape[0]) * _SIDE
    page.line([x, x + _SIDE], [plane, plane], **PLANE)
    rendered = shade(surface, view=_VIEW, colour=colour)
    page.image(x, below + _SIDE + GAP, _SIDE, _SIDE, rendered)
