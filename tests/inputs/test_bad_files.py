"""A file that cannot be used fails its own cell, says why, and fails no other."""

import numpy as np
import pytest
import tifffile

from dispr_cli.errors import CellError
from dispr_cli.inputs import plan
from dispr_cli.inputs.cell import Cell
from dispr_cli.inputs.plan import plan_cells, read_cells
from dispr_cli.inputs.settings import InputSettings
from tests.inputs.planned import failures, only_message, read_all

pytestmark = pytest.mark.usefixtures("nothing_leaks")


def break_file(path, how):
    data = path.read_bytes()
    whole = tifffile.imread(path)
    match how:
        case "missing":
            path.unlink()
        case "zero bytes":
            path.write_bytes(b"")
        case "truncated":
            path.write_bytes(data[: len(data) // 2])
        case "text":
            path.write_text("not an image at all")
        case "nan" | "inf":
            bad = whole.astype(np.float32)
            bad[30, 30] = np.nan if how == "nan" else np.inf
            tifffile.imwrite(path, bad)
        case "all zero" | "all one":
            tifffile.imwrite(path, np.full_like(whole, how == "all one"))
        case "1x1":
            tifffile.imwrite(path, whole[:1, :1])
        case "smaller":
            tifffile.imwrite(path, whole[:50])
        case "5D":
            tifffile.imwrite(path, np.zeros((2, 2, 2, 8, 8), np.uint8), photometric="minisblack")
        case "3 channels":
            tifffile.imwrite(path, np.stack([whole, whole, whole + 1], -1), photometric="rgb")
        case "4 channels":
            four = np.stack([whole, whole, whole + 1, whole], -1)
            tifffile.imwrite(path, four, photometric="rgb", extrasamples=["unspecified"])
        case "huge":
            tifffile.imwrite(path, np.zeros((10, 20_000), np.uint8))


BAD_IMAGES = {
    "zero bytes": "the file is empty (0 bytes)",
    "truncated": "damaged or truncated",
    "text": "not a TIFF, PNG or JPEG image",
    "nan": "1 NaN or infinite pixel(s) in and around the cell",
    "inf": "1 NaN or infinite pixel(s) in and around the cell",
    "all zero": "the image has one intensity (0) in and around the cell",
    "1x1": "1 x 1 pixels, but its mask",
    "smaller": "64 x 50 pixels, but its mask",
    "5D": "5 axes",
    "3 channels": "holds 3 channels",
    "4 channels": "channels (Y=64, X=64, S=4, uint8); say which with --channel",
    "huge": "20000 x 10 pixels are more than the limit",
}
BAD_MASKS = {
    "zero bytes": "the file is empty (0 bytes)",
    "truncated": "damaged or truncated",
    "text": "not a TIFF, PNG or JPEG image",
    "nan": "the mask holds NaN or infinite values",
    "inf": "the mask holds NaN or infinite values",
    "all zero": "the mask is empty",
    "all one": "the mask covers the whole image",
    "1x1": "the mask",
    "smaller": "bad.tif has 64 x 50; they must be equal",
    "5D": "5 axes",
    "3 channels": "the mask is a colour picture",
    "4 channels": "the mask is a colour picture",
    "huge": "20000 x 10 pixels are more than the limit",
}


@pytest.mark.parametrize(
    ("kind", "how", "message"),
    [("image", *item) for item in BAD_IMAGES.items()] + [("mask", *item) for item in BAD_MASKS.items()],
)
def test_one_bad_file_fails_its_cell_and_no_other(pairs, kind, how, message):
    source = pairs("before", "bad", "later")
    break_file(source / kind / "bad.tif", how)
    cells = read_all(source, max_pixels=10_000)
    assert list(cells) == ["bad", "before", "later"]
    assert isinstance(cells["before"], Cell)
    assert isinstance(cells["later"], Cell)
    assert message in str(cells["bad"])
    assert str(source / kind / "bad.tif") in str(cells["bad"])


@pytest.mark.parametrize("how", ["missing", "truncated", "1x1"])
def test_a_file_that_breaks_between_planning_and_reading(pairs, how):
    source = pairs("a", "b")
    found = plan_cells(source)
    break_file(source / "image" / "a.tif", how)
    first, second = (cell for _, cell in read_cells(found.cells))
    assert isinstance(first, CellError)
    assert isinstance(second, Cell)


def test_a_bad_field_fails_all_its_cells(save, field, pairs):
    source = pairs("a")
    path = save("cells/image/f.tif", field[0], compression="zlib")
    save("cells/mask/f.tif", field[1])
    path.write_bytes(path.read_bytes()[:-5000])
    assert set(failures(source)) in ({"f"}, {"f#2", "f#3", "f#7", "f#40"})


def test_a_cell_too_large_fails_alone(save, field, tmp_path):
    save("f.tif", field[0])
    save("f_masks.tif", field[1])
    failed = failures(tmp_path, pixel_size_um=0.38, scale="physical")
    assert list(failed) == ["f#3", "f#7"]
    assert "11.0 x 11.0 um (pixel size 0.38 um from option)" in failed["f#3"]
    found = plan_cells(tmp_path, InputSettings(pixel_size_um=0.38, scale="physical"))
    assert [ref.problem is not None for ref in found.cells] == [False, True, True, False]


def test_nothing_but_failures_is_bad_input(pairs):
    source = pairs("a", "b")
    break_file(source / "mask" / "a.tif", "all zero")
    break_file(source / "mask" / "b.tif", "text")
    text = only_message(source)
    assert "a.tif: the mask is empty" in text
    assert "The other 1 cell(s) fail too." in text


def test_an_error_of_ours_is_not_hidden(pairs, monkeypatch):
    found = plan_cells(pairs("a"))
    monkeypatch.setattr(plan, "crop_region", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(read_cells(found.cells))
