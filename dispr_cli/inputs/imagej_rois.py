"""Masks from ImageJ's lists of regions (``RoiSet.zip``), as Fiji, StarDist and Cellpose save them."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from roifile import ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from dispr_cli.errors import InputError
from dispr_cli.inputs.settings import InputSettings

_AREAS = (ROI_TYPE.POLYGON, ROI_TYPE.RECT, ROI_TYPE.OVAL, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)
_MOST_REGIONS = 1_000_000
_MOST_BYTES = 4 * 2**20
"""Of one region: as many corners as ImageJ counts take a fifth."""

_MOST_CROSSINGS = 200
"""For each row and column of a region: an outline that runs to and fro oftener is no cell's."""

_NO_AREAS = (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.ARROW, ROI_SUBTYPE.IMAGE)

logging.getLogger("roifile").addHandler(logging.NullHandler())
logging.getLogger("roifile").propagate = False


def read_rois(
    path: Path, shape: tuple[int, int], settings: InputSettings
) -> tuple[NDArray[np.int32], list[str]]:
    """Paint the regions of a list as labels.

    Parameters
    ----------
    path
        A zip archive of ``.roi`` files.
    shape
        (height, width) of the image they belong to.
    settings
        ``plane`` counts where regions belong to several planes.

    Returns
    -------
    ndarray
        (Y, X): 1, 2, ... in the order of the list, 0 outside. A pixel belongs to a region if its centre lies
        inside (by the even-odd rule); where regions overlap, to the last.
    list of str
        What was no area or cannot be seen, in words.

    Raises
    ------
    InputError
        If the archive is damaged or holds no region that is an area.
    OSError
        As the operating system gives it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            regions = [*_regions(path, archive)]
    except (OSError, InputError, MemoryError):
        raise
    except Exception as error:
        words = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{path}: damaged or truncated ({words}); save or copy it again.") from error
    if not regions:
        raise InputError(f"{path}: an archive without any ImageJ region (.roi) in it.")
    areas = [roi for roi in regions if roi.roitype in _AREAS and roi.subtype not in _NO_AREAS]
    areas = _of_one_plane(path, areas, settings)
    labels = np.zeros(shape, np.int32)
    for label, roi in enumerate(areas, start=1):
        _paint(path, labels, label, roi)
    others, unseen = len(regions) - len(areas), len(areas) - np.count_nonzero(np.unique(labels))
    dropped = [f"{others} region(s) that are no areas, or of other planes"] if others else []
    return labels, dropped + ([f"{unseen} region(s) outside the image or under others"] if unseen else [])


def _regions(path: Path, archive: zipfile.ZipFile) -> Iterator[ImagejRoi]:
    entries = [entry for entry in archive.infolist() if entry.filename.lower().endswith(".roi")]
    if len(entries) > _MOST_REGIONS:
        raise InputError(f"{path}: {len(entries):,} regions, expected at most {_MOST_REGIONS:,}.")
    for entry in entries:
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(
                f"{path}: compressed in a way that ImageJ does not write; save it again in ImageJ."
            )
        with archive.open(entry) as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise InputError(f"{path}: a region of more than {_MOST_BYTES:,} bytes.")
        yield ImagejRoi.frombytes(data)


def _of_one_plane(path: Path, areas: list[ImagejRoi], settings: InputSettings) -> list[ImagejRoi]:
    """Regions of the plane that is meant; ImageJ counts planes from 1, and 0 is all of them."""
    planes = {_plane(roi) for roi in areas} - {0}
    if len(planes) < 2:
        return areas
    if not isinstance(settings.plane, int):
        raise InputError(
            f"{path}: regions of {len(planes)} planes ({min(planes)} to {max(planes)} as ImageJ counts); say "
            "which with --plane, from 0."
        )
    return [roi for roi in areas if _plane(roi) in (0, settings.plane + 1)]


def _plane(roi: ImagejRoi) -> int:
    return int(roi.z_position or roi.t_position or roi.position)


def _paint(path: Path, labels: NDArray[np.int32], label: int, roi: ImagejRoi) -> None:
    try:
        outlines = [np.asarray(part, np.float64) for part in roi.coordinates(multi=True)]
    except Exception as error:
        raise InputError(f"{path}: region {label} cannot be read ({str(error)[:80]}).") from error
    outlines = [part for part in outlines if part.ndim == 2 and len(part) > 2]
    if not all(np.isfinite(part).all() for part in outlines):
        raise InputError(f"{path}: region {label} has corners that are no numbers.")
    if not outlines:
        return
    corners = np.concatenate(outlines)
    height, width = labels.shape
    x0, y0 = (int(v) for v in np.clip(np.floor(corners.min(axis=0)), 0, (width, height)))
    x1, y1 = (int(v) for v in np.clip(np.ceil(corners.max(axis=0)), 0, (width, height)))
    if x1 <= x0 or y1 <= y0:
        return
    inside = _inside(path, label, [part - (x0, y0) for part in outlines], (y1 - y0, x1 - x0))
    labels[y0:y1, x0:x1][inside] = label


def _inside(
    path: Path, label: int, outlines: Sequence[NDArray[np.float64]], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Even-odd rule: along a row, each crossing of an outline turns outside into inside and back."""
    height, width = shape
    starts = np.concatenate(outlines)
    ends = np.concatenate([np.roll(part, -1, axis=0) for part in outlines])
    top, bottom = (
        np.clip(np.ceil(pick(starts[:, 1], ends[:, 1]) - 0.5), 0, height).astype(np.int64)
        for pick in (np.minimum, np.maximum)
    )
    counts = bottom - top  # rows whose centres the edge crosses
    if counts.sum() > _MOST_CROSSINGS * (height + width) + 100_000:
        raise InputError(f"{path}: region {label} has an outline that runs to and fro without end.")
    edge = np.repeat(np.arange(len(starts)), counts)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + top[edge]
    (x, y), (dx, dy) = starts[edge].T, (ends - starts)[edge].T
    column = np.clip(np.ceil(x + (row + 0.5 - y) * dx / dy - 0.5), 0, width).astype(np.int64)
    turns = np.zeros((height, width + 1), np.int32)
    np.add.at(turns, (row, column), 1)
    return np.cumsum(turns, axis=1, dtype=np.int32)[:, :width] % 2 == 1
