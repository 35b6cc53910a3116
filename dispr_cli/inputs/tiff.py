"""TIFF files: header, pixel size and single planes, with tifffile kept quiet."""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from dispr_cli.errors import InputError
from dispr_cli.inputs.image_header import ImageHeader
from dispr_cli.inputs.pixel_size import (
    PixelSize,
    pixel_size_from_imagej,
    pixel_size_from_ome,
    pixel_size_from_resolution,
    plane_spacing_from_imagej,
    plane_spacing_from_ome,
)
from dispr_cli.inputs.plain_tiff import UM_PER_RESOLUTION_UNIT
from dispr_cli.inputs.tiff_directories import directories_overlap

_TAG_IN_COMPLAINT = re.compile(r"TiffTag (\d+)")
# TIFF 6.0: size, bits, compression, colour, description, strips, samples, planes, predictor, tiles, format.
_TAGS_THAT_SHAPE_PIXELS = {
    256,
    257,
    258,
    259,
    262,
    270,
    273,
    277,
    278,
    279,
    284,
    317,
    322,
    323,
    324,
    325,
    339,
}

_LARGEST_TILE = 4096**2
"""Pixels of a tile that nobody wonders at, however small the image."""


class _Complaints(logging.Filter):
    """Keeps tifffile's log lines off the user's screen while we read, and remembers errors among them."""

    def __init__(self) -> None:
        super().__init__()
        self._local = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        heard: list[str] | None = getattr(self._local, "heard", None)
        if heard is None:
            return True
        tag = _TAG_IN_COMPLAINT.search(record.getMessage())
        if record.levelno >= logging.ERROR and (tag is None or int(tag[1]) in _TAGS_THAT_SHAPE_PIXELS):
            heard.append(record.getMessage())
        return False

    @contextmanager
    def listen(self) -> Iterator[list[str]]:
        heard: list[str] = []
        self._local.heard = heard
        try:
            yield heard
        finally:
            self._local.heard = None


_complaints = _Complaints()
logging.getLogger("tifffile").addFilter(_complaints)


@contextmanager
def open_tiff(path: Path, plane: int | None = None) -> Iterator[TiffPlanes]:
    """Open a TIFF file for :class:`TiffPlanes`; every failure of the format becomes an InputError."""
    with _complaints.listen() as heard:
        try:
            if directories_overlap(path):
                raise damaged(
                    path, "its directories run in circles, are too many or lie on top of each other"
                )
            with tifffile.TiffFile(path, _multifile=False) as tif:
                yield TiffPlanes(path, tif, plane)
        except InputError as error:
            if heard:
                raise damaged(path, heard[0]) from error
            raise
        except (MemoryError, OSError):
            raise
        except Exception as error:
            raise damaged(path, error) from error
        if heard:
            raise damaged(path, heard[0])


def damaged(path: Path, reason: object) -> InputError:
    """Make the error for a file that begins as an image and does not go on as one."""
    words = " ".join(str(reason).replace(str(path), "").split())[:120] or type(reason).__name__
    return InputError(f"{path}: damaged or truncated, it cannot be decoded ({words}); save or copy it again.")


class TiffPlanes:
    """One open TIFF file.

    Parameters
    ----------
    path
        Where it is.
    tif
        The open file.
    series
        Which series to use if there are several; None demands that there is one.
    """

    def __init__(self, path: Path, tif: tifffile.TiffFile, series: int | None) -> None:
        self._path = path
        self._tif = tif
        self._number = self._choose_series(series)
        self._series = tif.series[self._number]
        self.header = ImageHeader(
            path=path,
            axes=self._series.axes,
            shape=tuple(self._series.shape),
            dtype=str(self._series.dtype),
            pixel_size=self._pixel_size(),
            has_alpha=bool(self._series.keyframe.extrasamples) and self._series.axes.endswith("S"),
            lossy=int(self._series.keyframe.compression) in (6, 7),
        )

    def _choose_series(self, wanted: int | None) -> int:
        found = self._tif.series
        if not found:
            raise InputError(f"{self._path}: a TIFF without any image in it.")
        if len(found) == 1:
            return 0
        shapes = ", ".join("x".join(map(str, s.shape)) for s in found[:4]) + (
            ", ..." if len(found) > 4 else ""
        )
        if wanted is None:
            raise InputError(
                f"{self._path}: holds {len(found)} images of different kinds ({shapes}); "
                f"say which with --plane 0 to {len(found) - 1}."
            )
        if wanted >= len(found):
            raise InputError(f"{self._path}: holds {len(found)} images, so --plane {wanted} is not there.")
        return wanted

    @property
    def plane_is_series(self) -> bool:
        """Whether ``--plane`` was used up for choosing among images of different kinds."""
        return len(self._tif.series) > 1

    def _pixel_size(self) -> PixelSize | None:
        if self._tif.is_ome and self._tif.ome_metadata:
            return pixel_size_from_ome(self._tif.ome_metadata, self._number, len(self._tif.series))
        tags = self._series.keyframe.tags
        per_unit = _resolution(tags)
        if self._tif.is_imagej:
            unit = (self._tif.imagej_metadata or {}).get("unit")
            return pixel_size_from_imagej(None if unit is None else str(unit), per_unit)
        # Without the tag the unit is an inch; NONE (1, false in tifffile) says that there is none.
        unit_um = UM_PER_RESOLUTION_UNIT.get(int(tags.valueof("ResolutionUnit", 2)))
        return pixel_size_from_resolution(per_unit, unit_um, "TIFF resolution")

    @property
    def plane_spacing_um(self) -> float | None:
        """Micrometres from one plane of a stack to the next; None if the file does not say."""
        if self._tif.is_ome and self._tif.ome_metadata:
            return plane_spacing_from_ome(self._tif.ome_metadata, self._number, len(self._tif.series))
        described = (self._tif.imagej_metadata or {}) if self._tif.is_imagej else {}
        unit = described.get("unit")
        return plane_spacing_from_imagej(None if unit is None else str(unit), described.get("spacing"))

    def read(self, index: dict[str, int]) -> NDArray[Any]:
        """Decode one plane, (Y, X) or (Y, X, S), at the indices given per axis letter."""
        series, page = self._series, self._series.keyframe
        outer = len(series.shape) - len(page.shape)
        per_page = outer >= 0 and tuple(series.shape[outer:]) == tuple(page.shape)
        if per_page and len(series) == math.prod(series.shape[:outer]) and not series.is_truncated:
            at = [index[a] for a in series.axes[:outer]]
            number = int(np.ravel_multi_index(at, series.shape[:outer])) if outer else 0
            one = series[number]
            if one is None:
                raise damaged(self._path, f"plane {number} is missing")
            self._check_sound(one)
            pixels, axes = one.asarray(maxworkers=1), series.axes[outer:]
        elif per_page and series.dataoffset is not None:
            at = [index[a] for a in series.axes[:outer]]
            pixels, axes = self._read_contiguous(at, outer), series.axes[outer:]
        else:
            self._check_sound(page)
            pixels, axes = series.asarray(maxworkers=1), series.axes
        return self._black_is_zero(_to_plane(pixels, axes, index))

    def _black_is_zero(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Turn pixels round whose file says that 0 is white (TIFF 6.0, PhotometricInterpretation).

        ImageJ writes that for an inverting lookup table, as its binary masks have, and tifffile (with it
        scikit-image) for all bits; both mean the numbers as they stand.
        """
        page = self._series.keyframe
        if page.photometric != tifffile.PHOTOMETRIC.MINISWHITE or self._tif.is_imagej:
            return pixels
        if pixels.dtype.kind == "b":
            by_tifffile = self._tif.is_shaped or page.software.startswith("tifffile")
            return pixels if by_tifffile else ~pixels
        if pixels.dtype.kind != "u":
            return pixels
        return (2**page.bitspersample - 1 - pixels).astype(pixels.dtype)

    def read_volume(self) -> NDArray[Any]:
        """Decode all planes, in the order of the header's axes."""
        for page in self._series.pages:
            if page is not None:
                self._check_sound(page)
        return self._series.asarray(maxworkers=1)

    def _read_contiguous(self, at: list[int], outer: int) -> NDArray[Any]:
        """Read one plane of a stack that is described once, as ImageJ writes them, without the others."""
        series = self._series
        dtype = np.dtype(series.dtype).newbyteorder(self._tif.byteorder)
        shape = series.shape[outer:]
        number, count = int(np.ravel_multi_index(at, series.shape[:outer])), math.prod(shape)
        start = (series.dataoffset or 0) + number * count * dtype.itemsize
        if start + count * dtype.itemsize > self._tif.filehandle.size:
            raise damaged(self._path, "it ends before its pixels do")
        return self._tif.filehandle.read_array(dtype, count, start).reshape(shape)

    def _check_sound(self, page: tifffile.TiffPage | tifffile.TiffFrame) -> None:
        """Call it damage when pixels lie beyond the end of the file (JPEG decoders would paint them grey).

        And when one tile would take far more memory than the image it is cut from.
        """
        size = self._tif.filehandle.size
        keyframe = self._series.keyframe
        tile = math.prod(keyframe.tile or ())
        if tile > max(_LARGEST_TILE, math.prod(keyframe.shape)):
            raise damaged(self._path, f"its tiles are said to have {tile:,} pixels")
        if any(o + n > size for o, n in zip(page.dataoffsets, page.databytecounts, strict=False)):
            raise damaged(self._path, "it ends before its pixels do")


def _resolution(tags: tifffile.TiffTags) -> tuple[float, float] | None:
    sides = []
    for name in ("YResolution", "XResolution"):
        value = tags.valueof(name)
        if not isinstance(value, tuple) or len(value) != 2 or not all(value):
            return None
        sides.append(value[0] / value[1])
    return sides[0], sides[1]


def _to_plane(pixels: NDArray[Any], axes: str, index: dict[str, int]) -> NDArray[Any]:
    taken = pixels[tuple(slice(None) if a in "YXS" else index[a] for a in axes)]
    kept = [a for a in axes if a in "YXS"]
    return taken.transpose([kept.index(a) for a in ("Y", "X", "S") if a in kept])
