"""PNG files are checked before they are decoded, and read the same as without the check."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from dispr_cli.errors import InputError
from dispr_cli.inputs.raster import PNG_MAGIC, decode_raster, raster_header

PATH = Path("a.png")
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    pixels: NDArray[np.uint8],
    *,
    interlaced: bool = False,
    more: bytes = b"",
    raw: bytes | None = None,
    chunks: bytes = b"",
    body: tuple[int, int, int] = (0, 0, 0),
) -> bytes:
    """A grey PNG written by hand."""
    height, width = pixels.shape
    parts = [pixels[y::dy, x::dx] for x, y, dx, dy in PASSES] if interlaced else [pixels]
    rows = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    head = struct.pack(">IIBB", width, height, 8, 0) + bytes((body[0], body[1], body[2] or interlaced))
    data = zlib.compress(rows + more) if raw is None else raw
    return PNG_MAGIC + chunk(b"IHDR", head) + chunks + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def picture(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height * width).integers(0, 256, (height, width), np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (7, 5), (9, 17), (1, 9), (9, 1), (64, 64)])
@pytest.mark.parametrize("interlaced", [False, True])
def test_pixels_come_back(shape: tuple[int, int], interlaced: bool) -> None:
    pixels = picture(*shape)
    assert np.array_equal(decode_raster(PATH, png(pixels, interlaced=interlaced))[1], pixels)


def test_what_stands_behind_the_pixels_is_left_away(capfd: pytest.CaptureFixture[str]) -> None:
    pixels = picture(8, 9)
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))
    for data in (png(pixels, more=b"more rows"), png(pixels, raw=packed + b"more bytes")):
        assert np.array_equal(decode_raster(PATH, data)[1], pixels)
    assert capfd.readouterr() == ("", "")


def test_parts_without_pixels_are_not_decoded(capfd: pytest.CaptureFixture[str]) -> None:
    pixels = picture(8, 9)
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no colour profile"))
    assert np.array_equal(decode_raster(PATH, png(pixels, chunks=profile))[1], pixels)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (png(picture(8, 9), raw=zlib.compress(b"\0" * 20)), "ends before its pixels do"),
        (png(picture(8, 9))[:-30] + b"\xff" + png(picture(8, 9))[-29:], "does not match its checksum"),
        (png(picture(8, 9), raw=zlib.compress(b"\0" * 80)[:-1] + b"!"), "incorrect data check"),
    ],
)
def test_damage_is_told(data: bytes, reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=reason):
        decode_raster(PATH, data)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("body", [(1, 0, 0), (0, 7, 0), (0, 0, 2)])
def test_unknown_ways_of_packing_are_refused(body: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="PNG does not know"):
        raster_header(PATH, png(picture(8, 9), body=body))


def test_a_bomb_is_not_unpacked() -> None:
    # A thousand times as many bytes as the header says there are pixels.
    data = png(picture(8, 9), raw=zlib.compress(b"\0" * 80_000_000))
    assert decode_raster(PATH, data)[1].shape == (8, 9)


def test_colours_and_transparency_stay() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (5, 6, 4), np.uint8)
    data = imagecodecs.png_encode(colours)
    assert np.array_equal(decode_raster(PATH, data)[1], colours)


def test_palettes_and_transparency_that_mean_nothing_are_left_away(capfd: pytest.CaptureFixture[str]) -> None:
    pixels, late = picture(8, 9), chunk(b"tRNS", b"\0\7") + chunk(b"PLTE", b"abc") + chunk(b"tRNS", b"\0\1")
    expected = np.stack([pixels, np.where(pixels == 7, 0, 255)], -1)
    found = decode_raster(PATH, png(pixels, chunks=late))[1]
    assert np.array_equal(found, expected)
    wrong = png(pixels, chunks=chunk(b"tRNS", b"much too long"))
    assert np.array_equal(decode_raster(PATH, wrong)[1], pixels)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("palette", [b"", b"ab", b"abc" * 257])
def test_a_palette_that_is_cut(palette: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(png(picture(8, 9) % 2, chunks=chunk(b"PLTE", palette)))
    data[16:33] = chunk(b"IHDR", data[16:25] + b"\3\0\0\0")[8:]
    with pytest.raises(InputError, match="palette is missing or cut"):
        decode_raster(PATH, bytes(data))
    assert capfd.readouterr() == ("", "")


PER_UM = chunk(b"pHYs", struct.pack(">IIB", 10_000_000, 5_000_000, 1))
PROFILE = chunk(b"iCCP", b"x\0\0" + np.random.default_rng(1).bytes(5000))


@pytest.mark.parametrize("before", [b"", PROFILE, chunk(b"tEXt", b"note\0pHYs"), chunk(b"pHYs", b"cut")])
def test_the_pixel_size_of_a_png(before: bytes) -> None:
    size = raster_header(PATH, png(picture(8, 9), chunks=before + PER_UM)).pixel_size
    assert size is not None
    assert (size.y_um, size.x_um) == (0.2, 0.1)


@pytest.mark.parametrize("chunks", [chunk(b"tEXt", b"note\0" + PER_UM), chunk(b"tEXt", PER_UM[4:])])
def test_a_text_that_looks_like_a_pixel_size_is_none(chunks: bytes) -> None:
    assert raster_header(PATH, png(picture(8, 9), chunks=chunks)).pixel_size is None


def test_pixels_that_look_like_a_pixel_size_are_none() -> None:
    assert raster_header(PATH, png(picture(8, 9)) + PER_UM).pixel_size is None


def test_a_jpeg_may_fill_the_place_before_its_markers() -> None:
    data = imagecodecs.jpeg8_encode(picture(8, 9))
    filled = data[:2] + b"\xff\xff\xff" + data[2:]
    assert raster_header(PATH, filled).shape == (8, 9)
    assert np.array_equal(decode_raster(PATH, filled)[1], decode_raster(PATH, data)[1])
