"""TIFF files of the plainest kind, read without a decoder: ten times faster, which counts with 100,000 files.

One picture of one sample, little endian, not compressed, lying in one piece, described by the tags of
TIFF 6.0 and perhaps by tifffile's shape. All else, and all that is not as it should be, is left to the
decoder; where a picture is read here, the decoder reads the same.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.inputs.image_header import ImageHeader
from dispr_cli.inputs.pixel_size import PixelSize, pixel_size_from_resolution

UM_PER_RESOLUTION_UNIT = {2: 25_400.0, 3: 10_000.0}
"""Micrometres in an inch and a centimetre (TIFF 6.0, ResolutionUnit)."""

_MAGIC = b"II*\0"
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
_KINDS = {(8, 1): "<u1", (16, 1): "<u2", (32, 1): "<u4", (8, 2): "<i1", (16, 2): "<i2", (32, 2): "<i4"}
_KINDS |= {(32, 3): "<f4"}
_SHAPE = re.compile(rb'\{"shape": \[(\d+), (\d+)\]\}\0*')


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
    tags = _tags(data)
    if tags is None or not tags.keys() >= _NEEDED:
        return None
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
    if tags.get(_DESCRIPTION, (height, width)) != (height, width):
        return None
    pixels = np.frombuffer(data, dtype, width * height, start).reshape(height, width).copy()
    header = ImageHeader(path, "YX", (height, width), str(dtype), pixel_size=_pixel_size(tags))
    return header, pixels


def _tags(data: bytes) -> dict[int, tuple[int, ...]] | None:
    """Numbers of each tag of the only directory; None if a tag is unknown, doubled or of an odd type."""
    if len(data) < 14 or data[:4] != _MAGIC:
        return None
    at = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[at : at + 2], "little")
    end = at + 2 + 12 * count
    if at < 8 or data[end : end + 4] != b"\0\0\0\0":
        return None
    tags, last = {}, 0
    for tag, kind, number, value in struct.iter_unpack("<HHI4s", data[at + 2 : end]):
        found = _numbers(data, tag, kind, number, value)
        if found is None or tag <= last:
            return None
        tags[tag], last = found, tag
    return tags


def _numbers(data: bytes, tag: int, kind: int, count: int, value: bytes) -> tuple[int, ...] | None:
    if tag in _NUMBERS and kind in (_SHORT, _LONG):
        size, form = (2, "H") if kind == _SHORT else (4, "I")
        several = tag in (_STRIPS, _BYTES)
        if not count or (count > 1 and not several):
            return None
        if count * size > 4:
            value = _elsewhere(data, value, count * size)
        return struct.unpack_from(f"<{count}{form}", value) if len(value) >= count * size else None
    if tag in (_X_RESOLUTION, _Y_RESOLUTION) and (kind, count) == (_RATIONAL, 1):
        value = _elsewhere(data, value, 8)
        return struct.unpack("<II", value) if len(value) == 8 else None
    if tag in (_DESCRIPTION, _SOFTWARE, *_TEXTS) and kind == _TEXT:
        text = _elsewhere(data, value, count) if count > 4 else value[:count]
        return _words(tag, text) if len(text) == count and text.isascii() else None
    return None


def _words(tag: int, text: bytes) -> tuple[int, ...] | None:
    """Take a text that means nothing as no numbers, tifffile's shape as its two; None if it may mean more."""
    if tag == _SOFTWARE:
        return () if _WRITER.fullmatch(text) else None
    if tag == _DESCRIPTION:
        shape = _SHAPE.fullmatch(text)
        return None if shape is None else (int(shape[1]), int(shape[2]))
    return ()


def _elsewhere(data: bytes, value: bytes, size: int) -> bytes:
    start = int.from_bytes(value, "little")
    return data[start : start + size] if start >= 8 else b""


def _pixel_size(tags: dict[int, tuple[int, ...]]) -> PixelSize | None:
    sides = [tags.get(tag, (0, 0)) for tag in (_Y_RESOLUTION, _X_RESOLUTION)]
    if not all(map(all, sides)):
        return None
    y, x = (above / below for above, below in sides)
    unit_um = UM_PER_RESOLUTION_UNIT.get(tags.get(_UNIT, (2,))[0])
    return pixel_size_from_resolution((y, x), unit_um, "TIFF resolution")
