"""The best, the median and the worst cells beside their truths: what the numbers look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

from dispr_cli.config import SURFACE_LEVEL
from dispr_cli.report.page import FAINT, Page, shortened
from dispr_cli.report.tiles import BLOCK, GAP, OCCUPANCY, PLANE, TILE, draw_block

TRUTH_COLOUR = "#56B4E9"
"""Sky blue of Okabe and Ito: the outline of the truth."""

_TRUTH_SURFACE = np.array([0.38, 0.60, 0.78])

GROUPS = ("best", "median", "worst")

_LEFT, _TOP, _RIGHT, _BOTTOM = 0.52, 0.40, 0.14, 0.56
_BETWEEN_COLUMNS, _BETWEEN_ROWS, _BETWEEN_GROUPS = 0.18, 0.30, 0.14


@dataclass(frozen=True, slots=True)
class RankedShape:
    """One reconstruction.

    Attributes
    ----------
    volume
        (Z, Y, X) uint8, surface at 127.5.
    words
        Its scores, written below.
    """

    volume: NDArray[np.uint8]
    words: str


@dataclass(frozen=True, slots=True)
class RankedCell:
    """One row of the picture.

    Attributes
    ----------
    name
        Of the cell.
    group
        One of :data:`GROUPS`.
    truth
        (Z, Y, X) uint8.
    shapes
        Reconstructions by the title of their column.
    """

    name: str
    group: str
    truth: NDArray[np.uint8]
    shapes: Mapping[str, RankedShape]


def choose_ranked(scores: Mapping[str, float], each: int = 2) -> list[tuple[str, str]]:
    """Choose the cells with the highest, the middle and the lowest scores.

    Parameters
    ----------
    scores
        By cell; more is better.
    each
        Cells of each group; a cell stands in one group only, so of few cells there are fewer.

    Returns
    -------
    list of (cell, group)
        From the best to the worst.
    """
    order = sorted(scores, key=lambda cell: (-scores[cell], cell))
    if len(order) < 3 * each:
        each = max(len(order) // 3, 1)
    first = (len(order) - each) // 2
    best, worst = order[:each], order[max(len(order) - each, each) :]
    middle = [cell for cell in order[first : first + each] if cell not in best and cell not in worst]
    groups = zip((best, middle, worst), GROUPS, strict=True)
    return [(cell, group) for cells, group in groups for cell in cells]


def draw_ranking(rows: Sequence[RankedCell], title: str) -> Page:
    """Draw cells one below the other: the truth, and each reconstruction with the truth's outline.

    Parameters
    ----------
    rows
        From :func:`choose_ranked`, at least one; all with the same columns.
    title
        By what they are ranked.
    """
    columns = ["Ground truth", *rows[0].shapes]
    breaks = sum(a.group != b.group for a, b in pairwise(rows))
    width = _LEFT + len(columns) * (BLOCK + _BETWEEN_COLUMNS) - _BETWEEN_COLUMNS + _RIGHT
    height = _TOP + len(rows) * (BLOCK + _BETWEEN_ROWS) + breaks * _BETWEEN_GROUPS + _BOTTOM - 0.1
    page = Page(max(width, 4.4), height)
    for column, words in enumerate(columns):
        words = shortened(words, 8, BLOCK, "bold")
        page.text(_left(column) + BLOCK / 2, _TOP - 0.14, words, 8, weight="bold")
    y = _TOP
    for index, row in enumerate(rows):
        y += _BETWEEN_GROUPS if index and row.group != rows[index - 1].group else 0
        _draw_row(page, y, row, named=index == 0)
        y += BLOCK + _BETWEEN_ROWS
    _draw_legend(page, height - 0.33, title)
    return page


def _left(column: int) -> float:
    return _LEFT + column * (BLOCK + _BETWEEN_COLUMNS)


def _draw_row(page: Page, y: float, row: RankedCell, *, named: bool) -> None:
    page.text(0.16, y + BLOCK / 2, row.group, 8, rotation=90, weight="bold")
    page.text(0.36, y + BLOCK / 2, shortened(row.name, 6.5, BLOCK), 6.5, rotation=90, color=FAINT)
    tint = np.broadcast_to(_TRUTH_SURFACE, (*row.truth.shape, 3))
    draw_block(page, _left(0), y, row.truth, row.truth, named=named, tint=tint, **OCCUPANCY)
    for column, shape in enumerate(row.shapes.values(), 1):
        draw_block(page, _left(column), y, shape.volume, shape.volume, named=named, **OCCUPANCY)
        _draw_truth_outline(page, _left(column), y, row.truth)
        page.text(_left(column) + BLOCK / 2, y + BLOCK + 0.1, shape.words, 6.5)


def _draw_truth_outline(page: Page, x: float, y: float, truth: NDArray[np.uint8]) -> None:
    """Draw where the truth's surface crosses the three central slices, as :func:`draw_block` lays them."""
    middle = truth.shape[0] // 2
    far = TILE + GAP
    slices = (
        (0.0, 0.0, truth[middle]),
        (far, 0.0, truth[:, :, middle].T),
        (0.0, far, truth[::-1, middle]),
    )
    for right, down, pixels in slices:
        for contour in find_contours(np.pad(pixels, 1).astype(np.float32), SURFACE_LEVEL):
            below, beside = np.clip((contour.T - 0.5) / pixels.shape[0], 0, 1) * TILE
            page.line(x + right + beside, y + down + below, color=TRUTH_COLOUR, linewidth=0.8)


def _draw_legend(page: Page, y: float, title: str) -> None:
    page.line([_LEFT, _LEFT + 0.2], [y, y], color=TRUTH_COLOUR, linewidth=1.0)
    page.text(_LEFT + 0.25, y, "ground truth", 6, ha="left", color=FAINT)
    page.line([_LEFT + 0.95, _LEFT + 1.15], [y, y], **PLANE | {"linewidth": 0.8})
    page.text(_LEFT + 1.2, y, "plane of the input", 6, ha="left", color=FAINT)
    page.text(_LEFT, y + 0.16, title, 6, ha="left", color=FAINT)
