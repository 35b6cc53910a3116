"""PNG and JPEG files: header from the first bytes, pixels from imagecodecs."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
from numpy.typing import NDArray

from dispr_cli.errors import InputError
from dispr_cli.inputs.image_header import ImageHeader
from dispr_cli.inputs.pixel_size import PixelSize, pixel_size_from_resolution
from dispr_cli.inputs.tiff import damaged

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"
_PNG_SAMPLES = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type (PNG specification, IHDR)
_UM_PER_METRE = 1e6


def raster_header(path: Path, data: bytes) -> ImageHeader:
    """Header of a PNG or JPEG file held in `data`.

    Raises
    ------
    InputError
        If it ends before its header does.
    """
    return _png_header(path, data) if data.startswith(PNG_MAGIC) else _jpeg_header(path, data)


def decode_raster(header: ImageHeader, data: bytes) -> NDArray:
    """Pixels of a PNG or JPEG file, (Y, X) or (Y, X, S).

    Raises
    ------
    InputError
        If the data are damaged.
    """
    decode = imagecodecs.png_decode if data.startswith(PNG_MAGIC) else imagecodecs.jpeg8_decode
    try:
        pixels: NDArray = decode(data)
    except Exception as error:
        raise damaged(header.path, error) from error
    if pixels.shape[:2] != (header.height, header.width):
        raise damaged(header.path, f"{pixels.shape[:2]} pixels where its header says {header.shape[:2]}")
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels


def _header(path: Path, height: int, width: int, samples: int, dtype: str, lossy: bool) -> ImageHeader:
    axes, shape = ("YX", (height, width)) if samples == 1 else ("YXS", (height, width, samples))
    return ImageHeader(path, axes, shape, dtype, has_alpha=samples in (2, 4) and not lossy, lossy=lossy)


def _png_header(path: Path, data: bytes) -> ImageHeader:
    if len(data) < 33:
        raise damaged(path, "it ends inside its header")
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    samples = _PNG_SAMPLES.get(colour)
    if samples is None:
        raise damaged(path, f"colour type {colour}")
    header = _header(path, height, width, samples, "uint16" if depth == 16 else "uint8", lossy=False)
    pixel_size = _png_pixel_size(data)
    if pixel_size is None:
        return header
    return ImageHeader(path, header.axes, header.shape, header.dtype, pixel_size, header.has_alpha)


def _png_pixel_size(data: bytes) -> PixelSize | None:
    at = data.find(b"pHYs", 33, 4096)
    if at < 0 or len(data) < at + 13:
        return None
    x_per_m, y_per_m, unit = struct.unpack(">IIB", data[at + 4 : at + 13])
    return pixel_size_from_resolution(
        (y_per_m, x_per_m), _UM_PER_METRE if unit == 1 else None, "PNG resolution"
    )


def _jpeg_header(path: Path, data: bytes) -> ImageHeader:
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (
            0xC4,
            0xC8,
            0xCC,
        ):  # a start of frame (ITU T.81, table B.1)
            depth, height, width, samples = struct.unpack(">BHHB", data[at + 4 : at + 10])
            if depth != 8:
                raise InputError(f"{path}: a JPEG of {depth} bits, expected 8; save it as TIFF or PNG.")
            return _header(path, height, width, samples, "uint8", lossy=True)
        at += 2 + length
    raise damaged(path, "it ends inside its header")
