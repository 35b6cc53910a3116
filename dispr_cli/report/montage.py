"""What was reconstructed, at a glance: one row per cell, from the image to the spread of its samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dispr_cli.config import FOREGROUND
from dispr_cli.report.page import FAINT, Page, shortened
from dispr_cli.report.tiles import (
    BLOCK,
    GAP,
    OCCUPANCY,
    PLANE,
    TILE,
    draw_block,
    draw_colour_bar,
    draw_outline,
    draw_scale_bar,
)

_LEFT, _TOP, _RIGHT, _BOTTOM = 0.48, 0.36, 0.12, 0.50
_BETWEEN_COLUMNS, _BETWEEN_ROWS = 0.16, 0.24
_SPREAD_MAP, _MOST_SPREAD = "magma", 0.5


@dataclass(frozen=True, slots=True)
class MontageRow:
    """What is drawn of one cell.

    Attributes
    ----------
    name
        Written beside the row.
    image
        (Y, X) fluorescence in [0, 1].
    mask
        (Y, X) bool.
    volumes
        (S, Z, Y, X) uint8 samples, surface at 127.5.
    voxel_size_um
        Side of a voxel in micrometres; None draws the scale in voxels.
    truth
        (Z, Y, X) uint8 ground truth, where there is one.
    """

    name: str
    image: NDArray[np.floating]
    mask: NDArray[np.bool_]
    volumes: NDArray[np.uint8]
    voxel_size_um: float | None = None
    truth: NDArray[np.uint8] | None = None


Draw = Callable[[Page, float, float, MontageRow, bool], None]


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    width: float
    draw: Draw


def draw_montage(
    rows: Sequence[MontageRow], out_png: Path, *, most_samples: int = 3, dots_per_inch: int = 240
) -> None:
    """Draw cells one below the other: input, mean and single samples, and where the samples differ.

    Parameters
    ----------
    rows
        The cells; 1 to about 20 make a good picture.
    out_png
        The picture to write.
    most_samples
        Samples shown of each cell; the mean and the spread are those of all.
    dots_per_inch
        Resolution.

    Raises
    ------
    ValueError
        If there are no rows.
    StoreError
        If the picture cannot be written.
    """
    if not rows:
        raise ValueError("a montage needs at least one cell")
    _composed(rows, most_samples).save(out_png, dots_per_inch)


def _composed(rows: Sequence[MontageRow], most_samples: int) -> Page:
    columns = _columns(rows, most_samples)
    width = _LEFT + sum(column.width + _BETWEEN_COLUMNS for column in columns) - _BETWEEN_COLUMNS + _RIGHT
    height = _TOP + len(rows) * (BLOCK + _BETWEEN_ROWS) - _BETWEEN_ROWS + _BOTTOM
    page = Page(width, height)
    _draw_titles(page, columns)
    for index, row in enumerate(rows):
        y = _TOP + index * (BLOCK + _BETWEEN_ROWS)
        _draw_label(page, y, row)
        for x, column in zip(_positions(columns), columns, strict=True):
            column.draw(page, x, y, row, index == 0)
    _draw_legend(page, width, height, spread=any(len(row.volumes) > 1 for row in rows))
    return page


def _columns(rows: Sequence[MontageRow], most_samples: int) -> list[_Column]:
    most = max(len(row.volumes) for row in rows)
    columns = [_Column("Input", TILE, _draw_input)]
    if any(row.truth is not None for row in rows):
        columns.append(_Column("Ground truth", BLOCK, _draw_truth))
    if most > 1:
        columns.append(_Column(f"Mean of {most}", BLOCK, _draw_mean))
    shown = range(min(most, most_samples))
    columns += [_Column(f"Sample {sample + 1}", BLOCK, _sample_drawer(sample)) for sample in shown]
    if most > 1:
        columns.append(_Column("Spread", BLOCK, _draw_spread))
    return columns


def _positions(columns: Sequence[_Column]) -> list[float]:
    starts = np.cumsum([0.0, *(column.width + _BETWEEN_COLUMNS for column in columns[:-1])])
    return [_LEFT + float(start) for start in starts]


def _draw_titles(page: Page, columns: Sequence[_Column]) -> None:
    for x, column in zip(_positions(columns), columns, strict=True):
        page.text(x + column.width / 2, _TOP - 0.13, column.title, 8, weight="bold")


def _draw_legend(page: Page, width: float, height: float, *, spread: bool) -> None:
    line = height - 0.225
    page.line([_LEFT, _LEFT + 0.25], [line, line], **PLANE | {"linewidth": 0.8})
    page.text(_LEFT + 0.33, line, "plane of the input", 6, ha="left", color=FAINT)
    if spread:
        title = "standard deviation of the occupancy"
        draw_colour_bar(page, width - _RIGHT - BLOCK, line - 0.035, BLOCK, title, _MOST_SPREAD, _SPREAD_MAP)


def _draw_label(page: Page, y: float, row: MontageRow) -> None:
    name = shortened(row.name, 7, BLOCK, "bold")
    page.text(0.16, y + BLOCK / 2, name, 7, rotation=90, weight="bold")
    page.text(0.32, y + BLOCK / 2, _volume(row), 6, rotation=90, color=FAINT)


def _volume(row: MontageRow) -> str:
    counts = np.count_nonzero(row.volumes >= FOREGROUND, axis=(1, 2, 3))
    side, unit = (1.0, "voxels") if row.voxel_size_um is None else (row.voxel_size_um, "µm³")
    volumes = counts * side**3
    places = 1 if volumes.mean() < 1000 else 0
    spread = f" ± {volumes.std(ddof=1):,.{places}f}" if len(volumes) > 1 else ""
    return f"{volumes.mean():,.{places}f}{spread} {unit}"


def _draw_input(page: Page, x: float, y: float, row: MontageRow, first: bool) -> None:
    below = y + TILE + GAP
    page.image(x, y, TILE, TILE, row.image, cmap="gray", vmin=0.0, vmax=max(float(row.image.max()), 1e-6))
    draw_outline(page, x, y, TILE, row.mask)
    draw_scale_bar(page, x, y + BLOCK + 0.075, TILE, row.image.shape[1], row.voxel_size_um)
    page.image(x, below, TILE, TILE, row.mask, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    if first:
        page.text_on_picture(x + 0.05, y + 0.085, "image", 5.5, ha="left")
        page.text_on_picture(x + 0.05, below + 0.085, "mask", 5.5, ha="left")


def _draw_truth(page: Page, x: float, y: float, row: MontageRow, first: bool) -> None:
    if row.truth is not None:
        draw_block(page, x, y, row.truth, row.truth, named=first, **OCCUPANCY)


def _draw_mean(page: Page, x: float, y: float, row: MontageRow, first: bool) -> None:
    mean = row.volumes.mean(axis=0)
    draw_block(page, x, y, mean, np.rint(mean).astype(np.uint8), named=first, **OCCUPANCY)


def _sample_drawer(sample: int) -> Draw:
    def draw(page: Page, x: float, y: float, row: MontageRow, first: bool) -> None:
        if sample < len(row.volumes):
            volume = row.volumes[sample]
            draw_block(page, x, y, volume, volume, named=first, **OCCUPANCY)

    return draw


def _draw_spread(page: Page, x: float, y: float, row: MontageRow, first: bool) -> None:
    if len(row.volumes) < 2:
        return
    occupancy = row.volumes.astype(np.float32) / 255
    spread = occupancy.std(axis=0, ddof=1)
    mean = np.rint(occupancy.mean(axis=0) * 255).astype(np.uint8)
    # Blurred, so that the surface shows how thick the shell of disagreement around it is.
    around = ndimage.gaussian_filter(spread, 1.5)
    tint = matplotlib.colormaps[_SPREAD_MAP](np.clip(around / _MOST_SPREAD, 0, 1))[..., :3]
    scale = {"cmap": _SPREAD_MAP, "vmin": 0.0, "vmax": _MOST_SPREAD}
    draw_block(page, x, y, spread, mean, named=first, tint=tint, **scale)
