import struct
import zlib

import numpy as np
import pytest
import tifffile

from dispr_cli.errors import InputError
from dispr_cli.inputs import images
from dispr_cli.inputs.images import read_header, read_plane, read_volume
from dispr_cli.inputs.settings import InputSettings
from tests.inputs.planes import PLANE, STACK, message_of, palette_png, pixels_of

pytestmark = pytest.mark.usefixtures("nothing_leaks")


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


@pytest.mark.parametrize("dtype", ["?", "u1", "u2"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}])
def test_white_as_zero_is_turned_round(save, dtype, options):
    pixels = (PLANE > 99) if dtype == "?" else PLANE.astype(dtype)
    if dtype == "?" and "tile" in options:
        pytest.skip("tifffile does not write bits as tiles")
    path = save("a.tif", pixels, photometric="miniswhite", software="scanner", metadata=None, **options)
    most = 1 if dtype == "?" else np.iinfo(dtype).max
    found = pixels_of(path)
    assert found.dtype == pixels.dtype
    assert np.array_equal(found.astype(int), most - pixels.astype(int))


@pytest.mark.parametrize("options", [{}, {"metadata": None}, {"software": "x"}, {"ome": True}])
def test_bits_that_tifffile_writes_stay_as_they_are(tmp_path, options):
    """It marks them as white at zero without turning them round."""
    tifffile.imwrite(tmp_path / "a.tif", PLANE > 99, **options)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.pages[0].photometric == tifffile.PHOTOMETRIC.MINISWHITE
    assert np.array_equal(pixels_of(tmp_path / "a.tif", role="mask"), PLANE > 99)


def test_an_inverting_lookup_table_of_imagej_changes_no_number(save):
    """ImageJ marks its binary masks as white at zero and means the numbers as they stand."""
    path = save("a.tif", PLANE, photometric="miniswhite", description="ImageJ=1.54p\nmin=0\n", metadata=None)
    assert np.array_equal(pixels_of(path, role="mask"), PLANE)


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_the_middle_plane(save, count):
    stack = np.stack([PLANE + k for k in range(count)])
    path = save("a.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    assert np.array_equal(pixels_of(path, plane="middle"), stack[count // 2])
    assert np.array_equal(pixels_of(save("pages.tif", stack), plane="middle"), stack[count // 2])
    if count > 1:
        assert f"--plane 0 to {count - 1} or middle" in message_of(path)


def test_what_has_no_middle_plane(save, tmp_path):
    path = save("a.tif", STACK, imagej=True, metadata={"axes": "TYX"})
    assert "holds 3 time points, of which none is the middle plane" in message_of(path, plane="middle")
    with tifffile.TiffWriter(tmp_path / "b.tif") as writer:
        writer.write(PLANE, photometric="minisblack")
        writer.write(PLANE[:10, :10], photometric="minisblack")
    assert "say which with --plane 0 to 1" in message_of(tmp_path / "b.tif", plane="middle")


def with_profile(path, size):
    """Put so many bytes of a colour profile and the like before the pixels of a PNG or JPEG, and a size."""
    data = path.read_bytes()
    if path.suffix == ".png":
        chunks = [(b"pHYs", struct.pack(">IIB", 10_000_000, 10_000_000, 1)), (b"iCCP", bytes(size))]
        packed = [struct.pack(">I", len(b)) + k + b + zlib.crc32(k + b).to_bytes(4) for k, b in chunks[::-1]]
        path.write_bytes(data[:33] + b"".join(packed) + data[33:])
    else:
        parts = [b"\xff\xe2" + struct.pack(">H", 60_002) + bytes(60_000) for _ in range(-(-size // 60_000))]
        path.write_bytes(data[:2] + b"".join(parts) + data[2:])
    return path


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
@pytest.mark.parametrize("size", [65_000, 130_000, 700_000])
def test_a_header_is_found_behind_a_long_profile(save, name, size):
    path = with_profile(save(name, PLANE), size)
    header = read_header(path, InputSettings())
    assert header == read_plane(path, InputSettings())[0]
    assert (header.height, header.width) == (40, 50)
    assert name == "a.jpg" or header.pixel_size.y_um == 0.1


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_header_without_end_is_not_read_to_it(save, monkeypatch, name):
    monkeypatch.setattr(images, "_LONGEST_HEADER", 2**20)
    path = with_profile(save(name, PLANE), 2**21)
    with pytest.raises(InputError, match=r"first 1 MiB hold no pixels; save it again without"):
        read_header(path, InputSettings())


def test_a_long_file_that_ends_inside_its_header(save):
    path = with_profile(save("a.jpg", PLANE), 200_000)
    path.write_bytes(path.read_bytes()[:150_000])
    with pytest.raises(InputError, match="it ends inside its header"):
        read_header(path, InputSettings())
