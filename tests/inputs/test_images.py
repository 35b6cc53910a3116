import os
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from dispr_cli.errors import InputError
from dispr_cli.inputs.images import read_header, read_plane, read_volume
from dispr_cli.inputs.settings import InputSettings

pytestmark = pytest.mark.usefixtures("nothing_leaks")

PLANE = np.random.default_rng(0).integers(0, 200, (40, 50)).astype(np.uint8)
STACK = np.stack([PLANE, PLANE + 1, PLANE + 2])


def pixels_of(path, role="image", **settings):
    return read_plane(path, InputSettings(**settings), role)[1]


def message_of(path, role="image", **settings):
    with pytest.raises(InputError) as caught:
        read_plane(path, InputSettings(**settings), role)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "u4", "i2", "i4", "i8", "f2", "f4", "f8", "?"])
def test_numbers_of_any_kind(save, dtype):
    expected = PLANE.astype(dtype)
    assert np.array_equal(pixels_of(save("a.tif", expected)), expected)


@pytest.mark.parametrize(
    "codec", ["zlib", "lzw", "zstd", "packbits", "lzma", "jpeg2000", "jpegxl", "deflate"]
)
def test_compressed_without_loss(save, codec):
    assert np.array_equal(pixels_of(save("a.tif", PLANE, compression=codec)), PLANE)


@pytest.mark.parametrize(
    "options",
    [{"tile": (16, 16)}, {"bigtiff": True}, {"byteorder": ">"}, {"rowsperstrip": 7}, {"predictor": True}],
)
def test_layouts_inside_a_tiff(save, options):
    compression = "zlib" if "predictor" in options else None
    assert np.array_equal(pixels_of(save("a.tif", PLANE, compression=compression, **options)), PLANE)


@pytest.mark.parametrize("pixels", [PLANE, PLANE.astype(np.uint16) * 300])
def test_png(save, pixels):
    assert np.array_equal(pixels_of(save("a.png", pixels)), pixels)


def test_jpeg(save):
    smooth = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)
    header, pixels = read_plane(save("a.jpg", smooth), InputSettings())
    assert header.lossy
    assert np.abs(pixels.astype(int) - smooth).max() <= 3


def test_the_suffix_does_not_matter(save, tmp_path):
    save("a.png", PLANE).rename(tmp_path / "a.tif")
    assert np.array_equal(pixels_of(tmp_path / "a.tif"), PLANE)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pages.tif", {}),
        ("ome.ome.tif", {"metadata": {"axes": "ZYX"}}),
        ("imagej.tif", {"imagej": True, "metadata": {"axes": "ZYX"}}),
        ("big_endian.tif", {"imagej": True, "metadata": {"axes": "TYX"}}),
    ],
)
def test_a_stack_needs_a_plane(save, name, options):
    stack = STACK.astype(np.uint16)
    path = save(name, stack, **options)
    assert np.array_equal(pixels_of(path, plane=2), stack[2])
    assert "=3, Y=40, X=50, uint16); say which with --plane 0 to 2" in message_of(path)
    assert "has 3" in message_of(path, plane=3)
    assert "--plane 3 is not there" in message_of(path, plane=3)


@pytest.mark.parametrize("imagej", [True, False])
def test_channels_need_a_channel(save, imagej):
    name = "a.tif" if imagej else "a.ome.tif"
    path = save(name, STACK, imagej=imagej, metadata={"axes": "CYX"})
    assert np.array_equal(pixels_of(path, channel=1), STACK[1])
    assert "holds 3 channels (C=3, Y=40, X=50, uint8); say which with --channel 0 to 2" in message_of(path)
    assert "--channel 5 is not there" in message_of(path, channel=5)


def test_unnamed_pages_may_be_called_channels(save):
    assert np.array_equal(pixels_of(save("a.tif", STACK), channel=1), STACK[1])


def test_a_stack_of_channels_needs_both(save):
    stack = np.stack([STACK, STACK + 50])
    path = save("a.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
    assert np.array_equal(pixels_of(path, plane=1, channel=2), stack[1, 2])
    assert "--plane 0 to 1" in message_of(path, channel=2)
    assert "--channel 0 to 2" in message_of(path, plane=1)


def test_one_plane_of_a_contiguous_stack_is_read_alone(save, monkeypatch):
    path = save("a.tif", STACK, imagej=True, metadata={"axes": "ZYX"})
    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", lambda *_, **__: pytest.fail("read everything"))
    assert np.array_equal(pixels_of(path, plane=1), STACK[1])


def test_colours_that_are_grey_need_no_channel(save):
    grey = np.stack([PLANE] * 3, -1)
    assert np.array_equal(pixels_of(save("a.tif", grey, photometric="rgb")), PLANE)
    assert np.array_equal(pixels_of(save("a.png", grey)), PLANE)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_three_colours_need_a_channel(save, planar):
    colours = STACK if planar == "separate" else np.moveaxis(STACK, 0, -1)
    path = save("a.tif", colours, photometric="rgb", planarconfig=planar)
    assert np.array_equal(pixels_of(path, channel=2), STACK[2])
    assert "say which with --channel 0 to 2" in message_of(path)
    assert "has 3 channel(s), so --channel 3 is not there" in message_of(path, channel=3)


def test_a_fourth_colour_is_opacity(save):
    opaque = np.dstack([*STACK, np.full_like(PLANE, 255)])
    for path in (
        save("a.tif", opaque, photometric="rgb", extrasamples=["unassalpha"]),
        save("a.png", opaque),
    ):
        assert np.array_equal(pixels_of(path, channel=2), STACK[2])
        assert "holds 3 channels" in message_of(path)
        assert "--channel 3 is not there" in message_of(path, channel=3)


def test_four_channels_without_opacity(save):
    path = save("a.ome.tif", np.stack([*STACK, PLANE]), metadata={"axes": "CYX"})
    assert "holds 4 channels" in message_of(path)
    assert np.array_equal(pixels_of(path, channel=3), PLANE)


def test_five_axes_are_refused(save):
    path = save("a.ome.tif", np.zeros((2, 3, 4, 20, 20), np.uint8), metadata={"axes": "TZCYX"})
    assert "5 axes (T=2, Z=3, C=4, Y=20, X=20, uint8), expected one 2D plane" in message_of(path)


def test_five_axes_of_which_three_are_flat_are_one_plane(save):
    path = save("a.ome.tif", PLANE[None, None, None], metadata={"axes": "TZCYX"})
    assert np.array_equal(pixels_of(path), PLANE)


def test_images_of_different_kinds_in_one_file(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(PLANE)
        tiff.write(PLANE[:10, :10].astype(np.uint16))
    assert "holds 2 images of different kinds (40x50, 10x10); say which with --plane 0 to 1" in message_of(
        path
    )
    assert pixels_of(path, plane=1).shape == (10, 10)
    assert "holds 2 images, so --plane 2" in message_of(path, plane=2)


def test_a_plane_of_a_flat_image(save):
    path = save("a.tif", PLANE)
    assert "holds a single plane, so --plane 4 is not there" in message_of(path, plane=4)
    assert np.array_equal(pixels_of(path, plane=4, role="mask"), PLANE)


def palette_png(path: Path, indices: np.ndarray, depth: int = 8) -> Path:
    """A PNG of colours by number, as drawing programs save labels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    colours = np.random.default_rng(0).integers(0, 256, (2**depth, 3)).astype(np.uint8)
    bits = np.unpackbits(indices[..., None], axis=-1)[..., 8 - depth :].reshape(len(indices), -1)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    size = struct.pack(">IIBBBBB", indices.shape[1], indices.shape[0], depth, 3, 0, 0, 0)
    body = chunk(b"IHDR", size) + chunk(b"PLTE", colours.tobytes()) + chunk(b"IDAT", zlib.compress(rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_mask_saved_with_a_palette_keeps_its_labels(tmp_path, depth):
    labels = (np.arange(40 * 48).reshape(40, 48) % 2**depth).astype(np.uint8)
    path = palette_png(tmp_path / "a.png", labels, depth)
    assert np.array_equal(pixels_of(path, "mask"), labels)


def test_a_mask_in_colours_is_refused(save):
    path = save("a.png", np.moveaxis(STACK, 0, -1))
    assert "the mask is a colour picture" in message_of(path, "mask")
    path = save("a.ome.tif", STACK, metadata={"axes": "CYX"})
    assert "the mask holds several channels" in message_of(path, "mask", channel=0)


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


def test_a_header_is_read_without_decoding(save, monkeypatch):
    path = save("a.tif", PLANE, compression="zlib")
    monkeypatch.setattr(tifffile.TiffPage, "asarray", lambda *_, **__: pytest.fail("decoded"))
    header = read_header(path, InputSettings())
    assert (header.height, header.width, header.dtype) == (40, 50, "uint8")


def test_a_volume_of_another_shape_is_refused(save):
    path = save("a.tif", STACK)
    assert read_volume(path, (3, 40, 50)).shape == (3, 40, 50)
    with pytest.raises(InputError, match="Y=40, X=50, uint8, expected 64 x 64 x 64 voxels"):
        read_volume(path, (64, 64, 64))
    with pytest.raises(InputError, match="a flat picture"):
        read_volume(save("a.png", PLANE), (64, 64, 64))
