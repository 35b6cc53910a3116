"""Files that are missing, broken or bombs end in one clear message."""

import os
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from dispr_cli.errors import InputError
from tests.inputs.planes import PLANE, message_of, palette_png, pixels_of

pytestmark = pytest.mark.usefixtures("nothing_leaks")


def test_missing(tmp_path):
    assert "there is no such file" in message_of(tmp_path / "a.tif")


def test_a_folder_called_tif(tmp_path):
    (tmp_path / "a.tif").mkdir()
    assert "a folder, expected an image file" in message_of(tmp_path / "a.tif")


@pytest.mark.skipif(os.name == "nt", reason="permissions are otherwise on Windows")
def test_no_permission(save, monkeypatch):
    path = save("a.tif", PLANE)
    path.chmod(0)
    if os.access(path, os.R_OK):  # root reads everything

        def refuse(*_: object, **__: object):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    assert "no permission to read this file" in message_of(path)


def test_an_error_of_the_disk(save, monkeypatch):
    path = save("a.tif", PLANE)

    def fail(*_: object, **__: object):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", fail)
    assert "cannot be read (Input/output error)" in message_of(path)


def test_zero_bytes(tmp_path):
    (tmp_path / "a.tif").touch()
    assert "the file is empty (0 bytes)" in message_of(tmp_path / "a.tif")


def test_text_called_tif(tmp_path):
    (tmp_path / "a.tif").write_text("hello, I am no image")
    assert "not a TIFF, PNG or JPEG image (it begins with b'hello, I')" in message_of(tmp_path / "a.tif")


def test_complex_numbers(save):
    assert "holds complex64 numbers" in message_of(save("a.tif", PLANE.astype(np.complex64)))


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg"])
def test_more_pixels_than_allowed_are_refused_before_decoding(save, name, monkeypatch):
    path = save(name, np.zeros((200, 1000), np.uint8))
    for decoder in ("png_decode", "jpeg8_decode"):
        monkeypatch.setattr(imagecodecs, decoder, lambda *_: pytest.fail("decoded"))
    monkeypatch.setattr(tifffile.TiffPage, "asarray", lambda *_, **__: pytest.fail("decoded"))
    text = message_of(path, max_pixels=100_000)
    assert "1000 x 200 pixels are more than the limit of 100,000" in text
    assert "--max-pixels" in text


def test_a_bomb_is_refused_from_its_header(tmp_path):
    """20,000 x 20,000 pixels in a file of a few hundred bytes."""
    path = tmp_path / "bomb.png"
    palette_png(path, np.zeros((1, 1), np.uint8))
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 20_000, 20_000)
    path.write_bytes(data)
    assert "20000 x 20000 pixels are more than the limit" in message_of(path)


def test_a_tile_far_larger_than_its_image_is_not_decoded(save):
    path = save("a.tif", np.zeros((48, 48), np.uint16), compression="zstd", tile=(16, 32))
    data = path.read_bytes()
    width = struct.pack("<HHI", 322, 4, 1)
    assert data.count(width) == 1
    at = data.index(width) + len(width)
    path.write_bytes(data[:at] + struct.pack("<I", 2**30) + data[at + 4 :])
    assert "its tiles are said to have 17,179,869,184 pixels" in message_of(path)


def test_a_wide_image_below_the_limit_is_read(save):
    assert pixels_of(save("a.tif", np.zeros((10, 20_000), np.uint8))).shape == (10, 20_000)


def truncations(data: bytes) -> list[int]:
    return sorted({*range(1, 40), *range(40, len(data), max(len(data) // 60, 1)), len(data) - 1})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plain.tif", {}),
        ("zlib.tif", {"compression": "zlib", "rowsperstrip": 7}),
        ("tiles.tif", {"compression": "zstd", "tile": (16, 16)}),
        ("jpeg.tif", {"compression": "jpeg"}),
        ("imagej.tif", {"imagej": True}),
        ("ome.ome.tif", {}),
        ("plain.png", {}),
        ("plain.jpg", {}),
    ],
)
def test_a_truncated_file_is_never_read_as_something_else(save, name, options):
    path = save(name, PLANE, **options)
    whole, data = pixels_of(path), path.read_bytes()
    for length in truncations(data):
        path.write_bytes(data[:length])
        try:
            pixels = pixels_of(path)
        except InputError as error:
            assert len(str(error)) < 400  # noqa: PT017
        else:
            assert np.array_equal(pixels, whole), f"cut to {length} of {len(data)} bytes"


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif", "a.png", "a.jpg"])
def test_damaged_bytes_end_in_a_message_or_an_image(save, name):
    path = save(name, PLANE, compression="zlib") if name.endswith("tif") else save(name, PLANE)
    data = path.read_bytes()
    rng = np.random.default_rng(2)
    for _ in range(150):
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), 2):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            assert pixels_of(path).ndim == 2
        except InputError as error:
            assert str(path) in str(error)  # noqa: PT017


def test_a_broken_private_tag_is_no_damage(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PLANE, extratags=[(65000, "s", 0, "x" * 40, True)])
    with tifffile.TiffFile(path) as tiff:
        entry = tiff.pages[0].tags[65000].offset
    data = bytearray(path.read_bytes())
    data[entry + 8 : entry + 12] = struct.pack("<I", 10**6)
    path.write_bytes(data)
    assert np.array_equal(pixels_of(path), PLANE)
