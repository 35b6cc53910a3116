"""The roofline: how fast each part computes, under what the machine's memory and arithmetic allow.

Williams, Waterman, Patterson: Roofline, Communications of the ACM 52 (2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dispr_cli.report.page import FAINT, INK, Page, shortened

WIDTH, HEIGHT = 7.2, 4.5
_LEFT, _TOP, _RIGHT, _BOTTOM = 0.75, 0.78, 2.95, 0.6
_COLOURS = {"ours": "#0072B2", "PyTorch's": "#D55E00", "whole": "#009E73"}  # of Okabe and Ito
_OTHER = "#777777"
_AROUND = [(0.1, -0.06), (0.1, 0.06), (-0.1, -0.06), (-0.1, 0.06), (0.22, 0.0), (-0.22, 0.0)]
_CLEAR = 0.11


class Roofs(NamedTuple):
    """What the machine can do at most: GB/s of copying in memory and in cache, GFLOP/s of matrix products."""

    memory: float
    cache: float
    arithmetic: float


class Point(NamedTuple):
    """One part: its name, its kind (which decides the colour), FLOP per byte, and GFLOP/s reached."""

    name: str
    kind: str
    intensity: float
    rate: float


class _Frame:
    """Logarithmic axes on a page."""

    def __init__(self, page: Page, points: Sequence[Point], roofs: Roofs) -> None:
        intensities = [point.intensity for point in points] + [roofs.arithmetic / roofs.memory]
        rates = [point.rate for point in points] + [roofs.arithmetic]
        self.page = page
        self.x_range = _decades(intensities)
        self.y_range = _decades(rates)
        self.right, self.bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM

    def x(self, intensity: float) -> float:
        """Inches from the left."""
        low, high = self.x_range
        return _LEFT + (np.log10(intensity) - low) / (high - low) * (self.right - _LEFT)

    def y(self, rate: float) -> float:
        """Inches from the top."""
        low, high = self.y_range
        return self.bottom - (np.log10(rate) - low) / (high - low) * (self.bottom - _TOP)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = int(np.floor(np.log10(min(values)))), int(np.ceil(np.log10(max(values) * 1.2)))
    return low, max(high, low + 1)


def _plainly(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def draw_roofline(
    points: Sequence[Point], roofs: Roofs, out_png: Path, title: str = "", *, dots_per_inch: int = 200
) -> None:
    """Draw points under the roofs.

    Parameters
    ----------
    points
        What was measured; numbered in the picture and named beside it.
    roofs
        The machine's limits.
    out_png
        The picture to write.
    title
        Of the machine.
    dots_per_inch
        Resolution.

    Raises
    ------
    ValueError
        If there are no points, or one whose numbers are not positive.
    StoreError
        If the picture cannot be written.
    """
    if not points or any(not (point.intensity > 0 and point.rate > 0) for point in points):
        raise ValueError("a roofline needs points of positive intensity and rate")
    _composed(points, roofs, title).save(out_png, dots_per_inch)


def _composed(points: Sequence[Point], roofs: Roofs, title: str) -> Page:
    page = Page(WIDTH, HEIGHT)
    frame = _Frame(page, points, roofs)
    page.text(_LEFT, 0.25, shortened(title, 9, WIDTH - _LEFT - 0.2, "bold"), 9, ha="left", weight="bold")
    _draw_axes(frame)
    _draw_roofs(frame, roofs)
    _draw_points(frame, points)
    return page


def _draw_axes(frame: _Frame) -> None:
    page = frame.page
    for decade in range(frame.x_range[0], frame.x_range[1] + 1):
        x = frame.x(10.0**decade)
        page.line([x, x], [_TOP, frame.bottom], color="#dddddd", linewidth=0.5)
        page.text(x, frame.bottom + 0.13, _plainly(10.0**decade), 7)
    for decade in range(frame.y_range[0], frame.y_range[1] + 1):
        y = frame.y(10.0**decade)
        page.line([_LEFT, frame.right], [y, y], color="#dddddd", linewidth=0.5)
        page.text(_LEFT - 0.08, y, _plainly(10.0**decade), 7, ha="right")
    page.text((_LEFT + frame.right) / 2, frame.bottom + 0.36, "arithmetic intensity, FLOP per byte", 8)
    page.text(0.22, (_TOP + frame.bottom) / 2, "GFLOP/s", 8, rotation=90)


def _draw_roofs(frame: _Frame, roofs: Roofs) -> None:
    fastest = max(roofs.memory, roofs.cache)
    slopes = ((roofs.memory, "copy in memory", "-"), (roofs.cache, "copy in cache", "--"))
    for column, (bandwidth, name, style) in enumerate(slopes):
        least = max(10.0 ** frame.x_range[0], 10.0 ** frame.y_range[0] / bandwidth)
        ends = [least, min(roofs.arithmetic / bandwidth, 10.0 ** frame.x_range[1])]
        x, y = [frame.x(end) for end in ends], [frame.y(end * bandwidth) for end in ends]
        frame.page.line(x, y, color=INK, linewidth=1.0, linestyle=style)
        _name_roof(frame.page, column, style, f"{name}, {bandwidth:,.0f} GB/s")
    y_flat, start = frame.y(roofs.arithmetic), frame.x(roofs.arithmetic / fastest)
    frame.page.line([start, frame.right], [y_flat, y_flat], color=INK, linewidth=1.0)
    _name_roof(frame.page, 2, "-", f"matrix product, {roofs.arithmetic:,.0f} GFLOP/s")


def _name_roof(page: Page, column: int, style: str, words: str) -> None:
    x, y = _LEFT + 1.85 * column, 0.48
    page.line([x, x + 0.25], [y, y], color=INK, linewidth=1.0, linestyle=style)
    page.text(x + 0.32, y, words, 6.5, ha="left", color=FAINT)


def _draw_points(frame: _Frame, points: Sequence[Point]) -> None:
    left, row = frame.right + 0.3, min(0.2, (frame.bottom - _TOP) / len(points))
    places = [(frame.x(point.intensity), frame.y(point.rate)) for point in points]
    labels = _label_places(places)
    for number, (point, place, label) in enumerate(zip(points, places, labels, strict=True), start=1):
        colour = _COLOURS.get(point.kind, _OTHER)
        frame.page.line([place[0]], [place[1]], marker="o", markersize=4, color=colour, linestyle="none")
        frame.page.text(*label, str(number), 6, color=colour)
        words = shortened(f"{number}  {point.name}", 6.5, WIDTH - left - 0.6)
        at = _TOP + (number - 0.5) * row
        frame.page.text(left, at, words, 6.5, ha="left", color=colour)
        frame.page.text(WIDTH - 0.12, at, _plainly(point.rate), 6.5, ha="right", color=colour)
    frame.page.text(WIDTH - 0.12, _TOP - 0.12, "GFLOP/s", 6, ha="right", color=FAINT)


def _label_places(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Put every number beside its point, where numbers and points leave room."""
    taken = list(places)
    labels = []
    for x, y in places:
        others = [other for other in taken if other != (x, y)]
        spots = [(x + right, y + down) for right, down in _AROUND]
        room = [min((np.hypot(a - p, b - q) for p, q in others), default=_CLEAR) for a, b in spots]
        chosen = next((i for i, free in enumerate(room) if free >= _CLEAR), int(np.argmax(room)))
        labels.append(spots[chosen])
        taken.append(spots[chosen])
    return labels
