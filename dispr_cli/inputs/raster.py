"""PNG and JPEG files: header from the first bytes, pixels from imagecodecs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import InputError
from dispr_cli.inputs.image_header import ImageHeader
from dispr_cli.inputs.pixel_size import PixelSize, pixel_size_from_resolution
from dispr_cli.inputs.tiff import damaged

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"

_PNG_SAMPLES = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type (PNG specification, IHDR)
_PALETTE, _GREY = 3, 0
_PNG_TRANSPARENT = {0: 2, 2: 6}  # bytes of tRNS, by colour type
_JPEG_END = b"\xff\xd9"
_UM_PER_METRE = 1e6


def raster_header(path: Path, data: bytes, indexed: bool = False) -> ImageHeader:
    """Read the header of a PNG or JPEG file.

    Parameters
    ----------
    path
        Named in messages.
    data
        The file's beginning, as far as :func:`header_goes_on`.
    indexed
        Take the numbers of a palette's colours for the pixels, not the colours.

    Raises
    ------
    InputError
        If the file ends before its header does.
    """
    if not data.startswith(PNG_MAGIC):
        return _jpeg_header(path, data)[0]
    if len(data) < 33:
        raise damaged(path, "it ends inside its header")
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    if colour not in _PNG_SAMPLES or depth not in (1, 2, 4, 8, 16):
        raise damaged(path, f"colour type {colour} of {depth} bits")
    if data[26] or data[27] or data[28] > 1:
        raise damaged(path, "a compression, filter or interlacing that PNG does not know")
    samples = 1 if indexed and colour == _PALETTE else _PNG_SAMPLES[colour]
    header = _header(path, (height, width), samples, "uint16" if depth == 16 else "uint8")
    return replace(header, has_alpha=samples in (2, 4), pixel_size=_png_pixel_size(data))


def header_goes_on(data: bytes) -> bool:
    """Whether the header of a PNG or JPEG file is longer than these first bytes of it."""
    if data.startswith(PNG_MAGIC):
        return all(kind != b"IDAT" for kind, _, _ in _png_chunks(data))
    return _jpeg_frame(data) + 10 > len(data)


def decode_raster(
    path: Path, data: bytes, indexed: bool = False
) -> tuple[ImageHeader, NDArray[np.uint8 | np.uint16]]:
    """Decode a PNG or JPEG file.

    Parameters
    ----------
    path
        Named in messages.
    data
        The whole file.
    indexed
        Take the numbers of a palette's colours for the pixels, not the colours: labels are saved like that.

    Returns
    -------
    ImageHeader
        As decoded: transparent colours add a sample.
    ndarray
        (Y, X) or (Y, X, S).

    Raises
    ------
    InputError
        If the data are damaged.
    """
    header = raster_header(path, data, indexed)
    try:
        pixels = _decode_png(path, data, indexed) if data.startswith(PNG_MAGIC) else _decode_jpeg(path, data)
    except InputError:
        raise
    except Exception as error:
        raise damaged(path, error) from error
    if pixels.shape[:2] != (header.height, header.width):
        raise damaged(path, f"{pixels.shape[:2]} pixels where its header says {header.shape[:2]}")
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    decoded = _header(path, (header.height, header.width), samples, str(pixels.dtype))
    alpha = samples in (2, 4) and not header.lossy
    return replace(decoded, pixel_size=header.pixel_size, lossy=header.lossy, has_alpha=alpha), pixels


def _header(path: Path, shape: tuple[int, int], samples: int, dtype: str) -> ImageHeader:
    if samples == 1:
        return ImageHeader(path, "YX", shape, dtype)
    return ImageHeader(path, "YXS", (*shape, samples), dtype)


def _decode_png(path: Path, data: bytes, indexed: bool) -> NDArray[np.uint8 | np.uint16]:
    depth, colour = data[24], data[25]
    as_grey = indexed and colour == _PALETTE
    found: dict[bytes, bytes] = {}
    for kind, body, sum_ in _png_chunks(data):
        if zlib.crc32(kind + body).to_bytes(4) != sum_:
            raise damaged(path, f"its part {kind!r} does not match its checksum")
        found.setdefault(kind, body)
    header = found.get(b"IHDR", b"")
    # The same file called grey and without its palette.
    header = header[:9] + bytes([_GREY]) + header[10:] if as_grey else header
    # The decoder grumbles on stderr about colour profiles, parts out of place and the like.
    chunks = [(b"IHDR", header), *(() if as_grey else _png_colours(path, found, colour))]
    chunks += [(b"IDAT", _png_pixels(path, data, colour)), (b"IEND", b"")]
    pixels = imagecodecs.png_decode(PNG_MAGIC + b"".join(_png_chunk(*chunk) for chunk in chunks))
    # It stretches 1, 2 and 4 bits to 0..255.
    return pixels // (255 // (2**depth - 1)) if as_grey else pixels


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Kind, body and checksum of each chunk; the last may be cut."""
    at = len(PNG_MAGIC)
    while at + 12 <= len(data):
        length = struct.unpack(">I", data[at : at + 4])[0]
        end = at + 8 + length
        yield data[at + 4 : at + 8], data[at + 8 : end], data[end : end + 4]
        at = end + 4


def _png_colours(path: Path, found: Mapping[bytes, bytes], colour: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the palette and what is transparent, where they mean something (PNG, PLTE and tRNS)."""
    palette, transparent = found.get(b"PLTE", b""), found.get(b"tRNS", b"")
    if colour == _PALETTE:
        if not 0 < len(palette) <= 768 or len(palette) % 3:
            raise damaged(path, "its palette is missing or cut")
        yield b"PLTE", palette
        if 0 < len(transparent) <= len(palette) // 3:
            yield b"tRNS", transparent
    elif transparent and len(transparent) == _PNG_TRANSPARENT.get(colour):
        yield b"tRNS", transparent


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4)


def _png_pixels(path: Path, data: bytes, colour: int) -> bytes:
    """Return the compressed pixels, checked, without anything behind them."""
    packed = b"".join(body for kind, body, _ in _png_chunks(data) if kind == b"IDAT")
    width, height, depth = struct.unpack(">IIB", data[16:25])
    bits = depth * (1 if colour == _PALETTE else _PNG_SAMPLES[colour])
    expected = sum(h * (1 + -(-w * bits // 8)) for w, h in _png_passes(width, height, bool(data[28])) if w)
    unpacking = zlib.decompressobj()
    pixels = unpacking.decompress(packed, expected + 1)
    if len(pixels) < expected:
        raise damaged(path, "it ends before its pixels do")
    if len(pixels) == expected and unpacking.eof and not unpacking.unused_data:
        return packed
    # Some programs write more than the pixels: it is left away.
    return zlib.compress(pixels[:expected], 1)


def _png_passes(width: int, height: int, interlaced: bool) -> Iterator[tuple[int, int]]:
    """Width and height of each pass (PNG specification, Adam7)."""
    if not interlaced:
        yield width, height
        return
    for x, y, dx, dy in (
        *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
        *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
    ):
        yield -((x - width) // dx), -((y - height) // dy)


def _png_pixel_size(data: bytes) -> PixelSize | None:
    before_pixels = takewhile(lambda chunk: chunk[0] != b"IDAT", _png_chunks(data))
    said = next((body for kind, body, _ in before_pixels if kind == b"pHYs" and len(body) == 9), None)
    if said is None:
        return None
    x_per_m, y_per_m, unit = struct.unpack(">IIB", said)
    return pixel_size_from_resolution(
        (y_per_m, x_per_m), _UM_PER_METRE if unit == 1 else None, "PNG resolution"
    )


def _jpeg_header(path: Path, data: bytes) -> tuple[ImageHeader, int]:
    """Read the header of a JPEG file, and the position of its start of frame."""
    at = _jpeg_frame(data)
    if at + 10 > len(data) or data[at] != 0xFF:
        raise damaged(path, "it ends inside its header")
    depth, height, width, samples = struct.unpack(">BHHB", data[at + 4 : at + 10])
    if depth != 8:
        raise InputError(f"{path}: a JPEG of {depth} bits, expected 8; save it as TIFF or PNG.")
    return replace(_header(path, (height, width), samples, "uint8"), lossy=True), at


def _jpeg_frame(data: bytes) -> int:
    """Return where the start of frame is; where there is none, the place at which segments end."""
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # ITU T.81, table B.1
            break
        at += 1 if marker == 0xFF else 2 + length  # any number of FF may fill the place before a marker
    return at


def _decode_jpeg(path: Path, data: bytes) -> NDArray[np.uint8]:
    # The decoder paints what is missing grey; the end mark cannot stand inside the pixels.
    if data.find(_JPEG_END, _jpeg_header(path, data)[1]) < 0:
        raise damaged(path, "it ends before its pixels do")
    return imagecodecs.jpeg8_decode(data)
