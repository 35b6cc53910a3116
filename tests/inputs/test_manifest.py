import pytest

from dispr_cli.errors import InputError
from dispr_cli.inputs.layouts import find_pairs
from dispr_cli.inputs.settings import InputSettings

pytestmark = pytest.mark.usefixtures("nothing_leaks")


@pytest.fixture
def manifest(tmp_path):
    for name in ("a.tif", "b.tif", "sub/c.tif", "ma.png", "mb.png", "truth.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def write(text: str | bytes, name: str = "cells.csv"):
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        return tmp_path / name

    return write


def read(path, **settings):
    return find_pairs(path, InputSettings(**settings)).pairs


def message_of(path, **settings):
    with pytest.raises(InputError) as caught:
        read(path, **settings)
    return str(caught.value)


def test_names_are_relative_to_the_manifest_and_keep_its_order(manifest, tmp_path):
    pairs = read(manifest("image,mask\nsub/c.tif,ma.png\na.tif,mb.png\n"))
    assert [pair.name for pair in pairs] == ["c", "a"]
    assert pairs[0].image == str(tmp_path / "sub/c.tif")
    assert pairs[0].mask == str(tmp_path / "ma.png")
    assert pairs[0].pixel_size_um is None


def test_absolute_names(manifest, tmp_path):
    path = manifest(f"image,mask\n{tmp_path / 'a.tif'},{tmp_path / 'ma.png'}\n")
    assert read(path)[0].image == str(tmp_path / "a.tif")


def test_all_columns(manifest, tmp_path):
    pair = read(manifest("mask,image,well,obj,name,pixel_size_um\nma.png,a.tif,B2,truth.tif,first,0.11\n"))[0]
    assert (pair.name, pair.pixel_size_um, pair.truth) == ("first", 0.11, str(tmp_path / "truth.tif"))


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfimage,mask\r\na.tif,ma.png\r\n",
        "Image ; Mask\n a.tif ; ma.png \n",
        "image\tmask\na.tif\tma.png",
        '\n"image","mask"\n"a.tif","ma.png"\n,\n\n',
    ],
)
def test_tables_as_spreadsheets_write_them(manifest, text):
    assert [pair.name for pair in read(manifest(text))] == ["a"]


def test_tab_separated_suffix(manifest):
    assert len(read(manifest("image\tmask\na.tif\tma.png\n", "cells.tsv"))) == 1


def test_decimal_commas(manifest):
    assert read(manifest("image;mask;pixel_size_um\na.tif;ma.png;0,065\n"))[0].pixel_size_um == 0.065


def test_a_mask_may_be_missing_when_it_is_made(manifest):
    assert read(manifest("image\na.tif\n"), mask_from="otsu")[0].mask is None
    assert read(manifest("image,mask\na.tif,\n"), mask_from="otsu")[0].mask is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the manifest is empty"),
        ("image,mask\n", "a header line and no rows"),
        ("file,mask\na.tif,ma.png\n", "no column image (found: file, mask); expected a header line"),
        ("a.tif,ma.png\n", "no column image and mask (found: a.tif, ma.png)"),
        ("image,mask\na.tif,ma.png\na.tif,mb.png\n", "line 3: a second row named 'a' (the first is line 2)"),
        ("image,mask\na.tif,ma.png\n".encode("utf-16"), "not UTF-8 text"),
        ("image,mask\nz\u00fcrich.tif,ma.png\n".encode("latin-1"), "not UTF-8 text (byte 12)"),
        ("image,mask\n" + "x" * 200_000 + ",b\n", "line 1: not a table (field larger than field limit"),
        ("image," + "x" * 200_000 + "\na.tif,b\n", "not a table (field larger than field limit"),
    ],
)
def test_bad_tables_name_the_line(manifest, text, message):
    path = manifest(text)
    assert message in message_of(path)
    assert str(path) in message_of(path)


@pytest.mark.parametrize(
    ("columns", "values", "message"),
    [
        ("image,mask", "no.tif,mb.png", "the image no.tif is not there"),
        ("image,mask", "b.tif,no.png", "the mask no.png is not there"),
        ("image,mask,obj", "b.tif,mb.png,no.tif", "the obj no.tif is not there"),
        ("image,mask", ",mb.png", "no image given"),
        ("image,mask", "b.tif,", "no mask given for b.tif; or use --mask-from otsu"),
        ("image,mask", "\0.tif,mb.png", "line 3: "),
        ("image,mask,pixel_size_um", "b.tif,mb.png,small", "pixel_size_um is 'small'"),
        ("image,mask,pixel_size_um", "b.tif,mb.png,-1", "pixel_size_um is '-1'"),
        (
            "image,mask,plane",
            "b.tif,mb.png,-1",
            "plane is '-1', expected a whole number",
        ),
        ("image,mask,plane", "b.tif,mb.png,max", "a projection shows all planes at once"),
        ("image,mask,channel", "b.tif,mb.png,green", "channel is 'green', expected a whole number"),
        ("image,mask,channel", "b.tif,mb.png,1.0", "channel is '1.0'"),
    ],
)
def test_a_row_that_makes_no_sense_fails_its_cell_alone(manifest, columns, values, message):
    path = manifest(f"{columns}\na.tif,ma.png\n{values}\nsub/c.tif,mb.png\n")
    pairs = read(path)
    assert [pair.problem is None for pair in pairs] == [True, False, True]
    assert message in pairs[1].problem
    assert f"{path}, line 3" in pairs[1].problem


def test_planes_and_channels_of_each_image(manifest):
    pairs = read(
        manifest("image,mask,plane,channel\na.tif,ma.png,3,1\nb.tif,mb.png,middle,\nsub/c.tif,mb.png,,\n")
    )
    assert [(pair.plane, pair.channel) for pair in pairs] == [(3, 1), ("middle", None), (None, None)]


def test_columns_that_are_not_read_are_noted(manifest):
    path = manifest("image,mask,well,z_plane,\na.tif,ma.png,B2,3,\n")
    notes = find_pairs(path, InputSettings()).notes
    assert [(note.path, note.text) for note in notes] == [
        (
            path,
            "column(s) not read: well, z_plane; those that are: image, mask, name, pixel_size_um, obj, "
            "plane, channel",
        )
    ]
    assert find_pairs(manifest("image,mask,name\na.tif,ma.png,x\n"), InputSettings()).notes == []
