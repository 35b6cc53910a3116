"""A mask becomes regions: one per cell.

How ``labels="auto"`` reads a mask, in this order:

1. **Grey edge** (:func:`has_grey_edge`): the values run from 0 to full scale (255, 65535 or 1.0) and no value
   in between has an inside, that is a 3 x 3 block of its own. A label has an inside, an interpolated edge
   has none. Such a mask (SHAPR's are) is one binary mask, foreground above half of full scale.
2. **One value** besides 0: a binary mask. One cell if it is a 64 x 64 crop already, or if one connected
   piece holds at least four fifths of the foreground; otherwise every connected piece is a cell.
3. **Several values**: every value is a cell. Refused if hardly any value has an inside: that is a picture.

Refused in any case if a label is the ground around the cells (:mod:`dispr_cli.inputs.ground`), and without
any 0 unless ``labels="values"`` says that cells fill the image.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dispr_cli.config import GRID
from dispr_cli.errors import InputError
from dispr_cli.inputs.ground import ground_label
from dispr_cli.inputs.label_pieces import notes_on_pieces
from dispr_cli.inputs.pieces import number_pieces
from dispr_cli.inputs.settings import InputSettings

DOMINANT_FRACTION = 0.8
"""Share of the foreground that makes a connected piece the cell and the rest its specks."""

NO_CELLS = "no cells in this mask (all values are 0)"
"""What is said of a field without cells."""

_FEW_VALUES = 16
_SPARSE_FRACTION = 0.25  # of the bounding box: below it a label may have stray pixels
Kind = Literal["single", "components", "values"]


@dataclass(frozen=True, slots=True)
class Region:
    """One cell in a mask: its label, bounding box (y0, x0, y1, x1), area in pixels, and whether it is cut."""

    label: int
    bounding_box: tuple[int, int, int, int]
    area: int
    touches_border: bool


@dataclass(frozen=True)
class Labelling:
    """A mask, read.

    Attributes
    ----------
    labels
        (Y, X) whole numbers, 0 outside the cells.
    regions
        The cells, by ascending label.
    kind
        How the mask was understood.
    dropped
        What is no cell and why, in words.
    notes
        What is taken as it stands and may not be meant like that, in words.
    """

    labels: NDArray[np.integer[Any]]
    regions: list[Region]
    kind: Kind
    dropped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_labels(mask: NDArray[Any], settings: InputSettings, path: Path, lossy: bool = False) -> Labelling:
    """Find the cells of a mask.

    Parameters
    ----------
    mask
        (Y, X), any real kind of number.
    settings
        ``labels``, ``border`` and ``min_cell_pixels`` count here.
    path
        Named in messages.
    lossy
        The mask was stored as JPEG, which cannot keep labels: it is thresholded at half.

    Returns
    -------
    Labelling
        At least one region, unless the mask is empty or all were dropped by the border option.

    Raises
    ------
    InputError
        If the mask is full, inverted, or holds what cannot be labels.
    """
    if mask.dtype.kind == "f" and not np.isfinite(mask).all():
        raise InputError(
            f"{path}: the mask holds NaN or infinite values, expected 0 outside and labels inside."
        )
    mask = mask.view(np.uint8) if mask.dtype == bool else mask
    if not mask.any():
        return Labelling(np.zeros(mask.shape, np.uint8), [], "values", [NO_CELLS])
    found = _find(mask, settings, path, lossy)
    if settings.border == "keep":
        return found
    inner = [region for region in found.regions if not region.touches_border]
    cut = [
        f"{_words(found.kind, r)}: cut by the border of the image" for r in found.regions if r.touches_border
    ]
    return replace(found, regions=inner, dropped=found.dropped + cut)


def _find(mask: NDArray[Any], settings: InputSettings, path: Path, lossy: bool) -> Labelling:
    if lossy:
        return _read_binary(_threshold_lossy(mask, path), settings, path)
    if settings.labels != "values" and has_grey_edge(mask):
        return _read_binary(mask > mask.max() / 2, settings, path)
    labels = _whole_labels(mask, path)
    one_value = not np.any((labels != 0) & (labels != labels.max()))
    if settings.labels in ("single", "components") or (one_value and settings.labels == "auto"):
        return _read_binary(labels != 0, settings, path)
    return _read_values(labels, settings, path)


def has_grey_edge(mask: NDArray[Any]) -> bool:
    """Whether a mask is one binary mask with interpolated values along its edge.

    Parameters
    ----------
    mask
        (Y, X), finite.

    Returns
    -------
    bool
        True if values run from 0 to 255, 65535 or 1.0, some lie in between, none of those fills a
        3 x 3 block, and most of the upper half lies in the uppermost tenth.
    """
    full = mask.max()
    if mask.min() != 0 or not (full in (255, 65535) or (full == 1 and mask.dtype.kind == "f")):
        return False
    between = (mask != 0) & (mask != full)
    if not between.any() or np.any(_insides(mask) & between[1:-1, 1:-1]):
        return False
    return bool(2 * np.count_nonzero(mask > 0.9 * full) >= np.count_nonzero(mask > 0.5 * full))


def _insides(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a 3 x 3 block holds one value; (Y - 2, X - 2), empty for thinner masks."""
    in_row = mask[:, 1:] == mask[:, :-1]
    in_row = in_row[:, 1:] & in_row[:, :-1]
    in_column = mask[1:, 1:-1] == mask[:-1, 1:-1]
    return in_row[:-2] & in_row[1:-1] & in_row[2:] & in_column[1:] & in_column[:-1]


def _threshold_lossy(mask: NDArray[Any], path: Path) -> NDArray[np.bool_]:
    grey = np.count_nonzero((mask > 25) & (mask < 230))
    if mask.max() < 230 or grey > 0.1 * mask.size:
        raise InputError(f"{path}: a JPEG changes the values of labels; save the mask as TIFF or PNG.")
    return mask > 127


def _whole_labels(mask: NDArray[Any], path: Path) -> NDArray[np.integer[Any]]:
    if mask.dtype.kind == "f":
        if np.any(mask != np.floor(mask)):
            value = mask[mask != np.floor(mask)][0]
            raise InputError(
                f"{path}: the mask holds fractions such as {value:.4g}, expected whole labels; "
                "threshold it first."
            )
        if np.abs(mask).max() >= 2**53:
            raise InputError(f"{path}: the mask holds numbers too large for labels (up to {mask.max():.3g}).")
        mask = mask.astype(np.int64)
    if mask.min() < 0:
        raise InputError(
            f"{path}: the mask holds negative values (down to {mask.min()}), expected 0 outside the cells "
            "and positive labels inside."
        )
    return mask


def _read_binary(foreground: NDArray[np.bool_], settings: InputSettings, path: Path) -> Labelling:
    if foreground.all():
        raise _full(path)
    if ground_label(foreground, settings.min_cell_pixels) is not None:
        raise InputError(
            f"{path}: the mask looks inverted, or all its cells are one piece: its foreground touches all "
            "four borders and goes around the rest; invert it, so that the ground is 0."
        )
    on_grid = foreground.shape == (GRID, GRID)
    if settings.labels == "single" or (settings.labels != "components" and on_grid):
        return _one_cell(foreground, [], settings, path)
    pieces, count = number_pieces(foreground)
    areas = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    if settings.labels != "components" and areas.max() >= DOMINANT_FRACTION * areas.sum():
        rest = count - 1
        dropped = (
            [f"{rest} small piece(s) beside the cell, {areas.sum() - areas.max()} pixels"] if rest else []
        )
        return _one_cell(pieces == np.argmax(areas) + 1, dropped, settings, path)
    return _without_specks(pieces, _regions(pieces, np.arange(1, count + 1)), "components", settings, path)


def _one_cell(
    foreground: NDArray[np.bool_], dropped: list[str], settings: InputSettings, path: Path
) -> Labelling:
    labels = foreground.astype(np.uint8)
    return _without_specks(labels, _regions(labels, np.array([1])), "single", settings, path, dropped)


def _read_values(labels: NDArray[np.integer[Any]], settings: InputSettings, path: Path) -> Labelling:
    values = compact = None
    if int(labels.max()) > labels.size:  # memory must follow the pixels, not the largest label
        values, inverse = np.unique(labels, return_inverse=True)
        compact = inverse.reshape(labels.shape).astype(np.int32) + int(values[0] != 0)
        values = values[values != 0]
    else:
        compact = labels.astype(np.int32)
        values = np.flatnonzero(np.bincount(compact.ravel()))
        values = values[values != 0]
    if len(values) == 1 and labels.min() != 0:
        raise _full(path)
    _check_ground(labels, values, settings, path)
    if len(values) > _FEW_VALUES:
        solid = np.unique(labels[1:-1, 1:-1][_insides(labels)])
        if np.count_nonzero(solid) < 0.1 * len(values):
            raise InputError(
                f"{path}: {len(values)} different values and hardly any fills a 3 x 3 block, so this is a "
                "picture, not a mask; expected 0 outside the cells and one value per cell."
            )
    found = _without_specks(labels, _regions(compact, values), "values", settings, path)
    boxes = ((region.label, region.bounding_box) for region in found.regions)
    return replace(found, notes=notes_on_pieces(labels, boxes, settings.min_cell_pixels))


def _check_ground(
    labels: NDArray[np.integer[Any]], values: NDArray[np.integer[Any]], settings: InputSettings, path: Path
) -> None:
    """Refuse masks whose background is a label, as ilastik and programs that count from 1 write them."""
    ground = ground_label(labels, settings.min_cell_pixels)
    if ground is not None:
        raise InputError(
            f"{path}: the background seems to be labelled {ground} (it touches all four borders and goes "
            "around the rest); set the background to 0, or invert the mask."
        )
    if settings.labels == "auto" and labels.min() != 0:
        raise InputError(
            f"{path}: no pixel of the mask is 0 (it holds {_listed(values)}), so there is no background; set "
            "the background to 0, or give --labels values if cells fill the whole image."
        )


def _listed(values: NDArray[np.integer[Any]]) -> str:
    shown = ", ".join(str(value) for value in values[:4])
    return shown if len(values) <= 4 else f"{shown}, ... {values[-1]}"


def _regions(compact: NDArray[np.integer[Any]], values: NDArray[np.integer[Any]]) -> list[Region]:
    """Bounding boxes of the labels in `compact`; `values` are their names, in the same order."""
    height, width = compact.shape
    regions = []
    boxes = [(i, box) for i, box in enumerate(ndimage.find_objects(compact), start=1) if box is not None]
    for (label, box), value in zip(boxes, values, strict=True):
        inside = compact[box] == label
        area = int(np.count_nonzero(inside))
        (y0, y1), (x0, x1) = _without_strays(inside, area, box)
        cut = y0 == 0 or x0 == 0 or y1 == height or x1 == width
        regions.append(Region(int(value), (y0, x0, y1, x1), area, cut))
    return regions


def _without_strays(
    inside: NDArray[np.bool_], area: int, box: tuple[slice, slice]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Bound the piece that holds nearly all of a label: a stray pixel must not decide where the cell lies."""
    y, x = (s.start for s in box)
    whole = ((y, box[0].stop), (x, box[1].stop))
    if area > _SPARSE_FRACTION * inside.size:
        return whole
    pieces, _ = number_pieces(inside)
    largest = int(np.argmax(np.bincount(pieces.ravel())[1:])) + 1
    if np.count_nonzero(pieces == largest) < DOMINANT_FRACTION * area:
        return whole
    rows, columns = ndimage.find_objects(pieces)[largest - 1]
    return (y + rows.start, y + rows.stop), (x + columns.start, x + columns.stop)


def _without_specks(
    labels: NDArray[np.integer[Any]],
    regions: list[Region],
    kind: Kind,
    settings: InputSettings,
    path: Path,
    dropped: list[str] | None = None,
) -> Labelling:
    least = settings.min_cell_pixels
    cells = [region for region in regions if region.area >= least]
    if not cells:
        largest = max(region.area for region in regions)
        raise InputError(
            f"{path}: the largest piece of the mask has {largest} pixel(s), expected at least {least} "
            "for a cell."
        )
    specks = [
        f"{_words(kind, r)}: {r.area} pixel(s), fewer than the {least} of a cell"
        for r in regions
        if r.area < least
    ]
    return Labelling(labels, cells, kind, (dropped or []) + specks)


def _words(kind: Kind, region: Region) -> str:
    return (
        "the cell" if kind == "single" else f"{'piece' if kind == 'components' else 'label'} {region.label}"
    )


def _full(path: Path) -> InputError:
    return InputError(f"{path}: the mask covers the whole image, so there is no outline of a cell in it.")
