"""TIFF files of the plainest kind, read without a decoder: ten times faster, which counts with 100,000 files.

One picture of one sample, not compressed, lying in one piece, in either order of bytes, described by the
tags of TIFF 6.0 and perhaps by tifffile's shape or as ImageJ describes a single plane. All else, and all
that is not as it should be, is left to the decoder; where a picture is read here, the decoder reads the same.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dispr_cli.inputs.image_header import ImageHeader
from dispr_cli.inputs.pixel_size import PixelSize, pixel_size_from_imagej, pixel_size_from_resolution

UM_PER_RESOLUTION_UNIT = {2: 25_400.0, 3: 10_000.0}
"""Micrometres in an inch and a centimetre (TIFF 6.0, ResolutionUnit)."""

_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
_SHORT, _LONG, _RATIONAL, _TEXT = 3, 4, 5, 2
_WIDTH, _LENGTH, _BITS, _DESCRIPTION, _STRIPS, _ROWS, _BYTES = 256, 257, 258, 270, 273, 278, 279
_X_RESOLUTION, _Y_RESOLUTION, _UNIT, _FORMAT = 282, 283, 296, 339
# Subfile type, compression, black is 0, fill order, orientation, samples, planar configuration, predictor.
_PLAIN = {254: 0, 259: 1, 262: 1, 266: 1, 274: 1, 277: 1, 284: 1, 317: 1}
_NUMBERS = {*_PLAIN, _WIDTH, _LENGTH, _BITS, _STRIPS, _ROWS, _BYTES, _UNIT, _FORMAT}
_NEEDED = {_WIDTH, _LENGTH, _BITS, 259, 262, _STRIPS, _BYTES}
_SOFTWARE, _WRITER = 305, re.compile(rb"tifffile\.py\0*")
_TEXTS = {306, 315}  # date and artist: read by nobody here
# Bits and sample format (1 without a sign, 2 with one, 3 IEEE).
_KINDS = {(8, 1): "u1", (16, 1): "u2", (32, 1): "u4", (8, 2): "i1", (16, 2): "i2", (32, 2): "i4"}
_KINDS |= {(32, 3): "f4"}
_SHAPE = re.compile(rb'\{"shape": \[(\d+), (\d+)\]\}\0*')
# What ImageJ and tifffile say of a single grey plane: nothing of it counts but the unit, a word.
_IMAGEJ = re.compile(
    rb"ImageJ=[\d.]+[a-z]?\n(?:images=1\n|hyperstack=true\n|mode=grayscale\n|loop=false\n"
    rb"|(?:min|max)=-?[\d.]+\n)*(?:unit=(?P<unit>[\\A-Za-z][\\A-Za-z\d]*)\n?)?"
    rb"(?:loop=false\n?|(?:min|max)=-?[\d.]+\n?)*\0*"
)


@dataclass(frozen=True, slots=True)
class _Directory:
    """The only directory of a file.

    Attributes
    ----------
    numbers
        Of each tag.
    shape
        (Y, X) of tifffile's description, if that is there.
    by_imagej, unit
        Whether ImageJ describes the picture, and its unit of length.
    """

    numbers: dict[int, tuple[int, ...]]
    shape: tuple[int, int] | None = None
    by_imagej: bool = False
    unit: str | None = None


def read_plain_tiff(path: Path, data: bytes) -> tuple[ImageHeader, NDArray[Any]] | None:
    """Read a whole file that is as plain as can be; None if it is not, or not sound.

    Parameters
    ----------
    path
        Named in the header.
    data
        All bytes of the file.

    Returns
    -------
    ImageHeader
        As :func:`dispr_cli.inputs.tiff.open_tiff` finds it.
    ndarray
        (Y, X)
    """
    order = _ORDERS.get(data[:4])
    directory = None if order is None else _directory(data, order)
    if order is None or directory is None or not directory.numbers.keys() >= _NEEDED:
        return None
    tags = directory.numbers
    if any(tags.get(tag, (plain,)) != (plain,) for tag, plain in _PLAIN.items()):
        return None
    kind = _KINDS.get((tags[_BITS][0], tags.get(_FORMAT, (1,))[0]))
    offsets, lengths = tags[_STRIPS], tags[_BYTES]
    (width,), (height,), (rows,) = tags[_WIDTH], tags[_LENGTH], tags.get(_ROWS, tags[_LENGTH])
    if (
        kind is None
        or not (width and height and rows)
        or not len(offsets) == len(lengths) == -(-height // rows)
    ):
        return None
    dtype, start, end = np.dtype(kind), offsets[0], offsets[-1] + lengths[-1]
    ends = (at + size for at, size in zip(offsets, lengths, strict=True))
    in_one_piece = all(at == before for at, before in zip(offsets[1:], ends, strict=False))
    if not in_one_piece or end > len(data) or end - start != width * height * dtype.itemsize:
        return None
    if directory.shape not in (None, (height, width)):
        return None
    stored = np.frombuffer(data, dtype.newbyteorder(order), width * height, start)
    header = ImageHeader(path, "YX", (height, width), str(dtype), pixel_size=_pixel_size(directory))
    return header, stored.astype(dtype).reshape(height, width)


def _directory(data: bytes, order: Literal["little", "big"]) -> _Directory | None:
    """Read the tags of the only directory; None if one is unknown, doubled or of an odd type."""
    if len(data) < 14:
        return None
    at = int.from_bytes(data[4:8], order)
    count = int.from_bytes(data[at : at + 2], order)
    end = at + 2 + 12 * count
    if at < 8 or data[end : end + 4] != b"\0\0\0\0":
        return None
    mark = "<" if order == "little" else ">"
    tags: dict[int, tuple[int, ...]] = {}
    described, last = _Directory(tags), 0
    for tag, kind, number, value in struct.iter_unpack(f"{mark}HHI4s", data[at + 2 : end]):
        if tag <= last:
            return None
        last = tag
        if kind == _TEXT:
            text = _at(data, value, number, order)
            if len(text) != number or not text.isascii():
                return None
            found = _said(tag, text, tags)
            if found is None:
                return None
            described = found if tag == _DESCRIPTION else described
        else:
            numbers = _numbers(data, tag, kind, number, value, order)
            if numbers is None:
                return None
            tags[tag] = numbers
    return described


def _numbers(
    data: bytes, tag: int, kind: int, count: int, value: bytes, order: Literal["little", "big"]
) -> tuple[int, ...] | None:
    mark = "<" if order == "little" else ">"
    if tag in _NUMBERS and kind in (_SHORT, _LONG):
        size, form = (2, "H") if kind == _SHORT else (4, "I")
        if not count or (count > 1 and tag not in (_STRIPS, _BYTES)):
            return None
        stored = _at(data, value, count * size, order)
        return struct.unpack(f"{mark}{count}{form}", stored) if len(stored) == count * size else None
    if tag in (_X_RESOLUTION, _Y_RESOLUTION) and (kind, count) == (_RATIONAL, 1):
        stored = _at(data, value, 8, order)
        return struct.unpack(f"{mark}II", stored) if len(stored) == 8 else None
    return None


def _said(tag: int, text: bytes, tags: dict[int, tuple[int, ...]]) -> _Directory | None:
    """Take what a text says of the picture; None if it may say what only the decoder understands."""
    if tag == _DESCRIPTION:
        if (shape := _SHAPE.fullmatch(text)) is not None:
            return _Directory(tags, shape=(int(shape[1]), int(shape[2])))
        if (imagej := _IMAGEJ.fullmatch(text)) is not None:
            unit = imagej["unit"]
            return _Directory(tags, by_imagej=True, unit=None if unit is None else unit.decode("ascii"))
        return None
    means_nothing = tag in _TEXTS or (tag == _SOFTWARE and _WRITER.fullmatch(text) is not None)
    return _Directory(tags) if means_nothing else None


def _at(data: bytes, value: bytes, size: int, order: Literal["little", "big"]) -> bytes:
    """Bytes of a tag's value, which lies elsewhere if it has more than four."""
    if size <= 4:
        return value[:size]
    start = int.from_bytes(value, order)
    return data[start : start + size] if start >= 8 else b""


def _pixel_size(directory: _Directory) -> PixelSize | None:
    tags = directory.numbers
    sides = [tags.get(tag, (0, 0)) for tag in (_Y_RESOLUTION, _X_RESOLUTION)]
    if not all(map(all, sides)):
        return None
    y, x = (above / below for above, below in sides)
    if directory.by_imagej:
        return pixel_size_from_imagej(directory.unit, (y, x))
    unit_um = UM_PER_RESOLUTION_UNIT.get(tags.get(_UNIT, (2,))[0])
    return pixel_size_from_resolution((y, x), unit_um, "TIFF resolution")
