from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from dispr_cli.errors import InputError
from dispr_cli.inputs.images import read_plane
from dispr_cli.inputs.labels import has_grey_edge, read_labels
from dispr_cli.inputs.settings import InputSettings
from tests.inputs.drawn_cells import disc

pytestmark = pytest.mark.usefixtures("nothing_leaks")

FILE = Path("mask.tif")


def read(mask, lossy=False, **settings):
    return read_labels(np.asarray(mask), InputSettings(**settings), FILE, lossy)


def message_of(mask, **settings):
    with pytest.raises(InputError) as caught:
        read(mask, **settings)
    assert str(caught.value).startswith("mask.tif: ")
    return str(caught.value)


def two_discs(shape=(100, 100), radii=(15, 15)):
    return disc(shape, (30, 30), radii[0]) | disc(shape, (70, 70), radii[1])


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i2", "i4", "i8", "f4", "f8"])
def test_every_label_is_a_region_whatever_the_numbers_and_gaps(field, dtype):
    found = read(field[1].astype(dtype))
    assert found.kind == "values"
    assert [region.label for region in found.regions] == [2, 3, 7, 40]
    for region in found.regions:
        y0, x0, y1, x1 = region.bounding_box
        inside = field[1] == region.label
        assert inside[y0:y1, x0:x1].sum() == inside.sum() == region.area
        assert inside[y0].any()
        assert inside[y1 - 1].any()
        assert inside[:, x0].any()
        assert inside[:, x1 - 1].any()
    assert [region.touches_border for region in found.regions] == [False, False, False, True]


@pytest.mark.parametrize("largest", [2**31 - 1, 2**31 + 5, 2**40])
def test_huge_labels_cost_no_memory(field, largest):
    labels = field[1].astype(np.int64)
    labels[labels == 40] = largest
    assert [region.label for region in read(labels).regions] == [2, 3, 7, largest]
    assert [region.label for region in read(labels.astype(np.float64)).regions] == [2, 3, 7, largest]


@given(st.lists(st.integers(1, 2**31 - 1), min_size=2, max_size=6, unique=True), st.booleans())
def test_sparse_and_dense_labels_are_found_alike(values, with_ground):
    labels = np.zeros((40, 10 * len(values)), np.int64)
    for k, value in enumerate(values):
        labels[3 * with_ground :, 10 * k : 10 * k + 9 + (not with_ground)] = value
    found = {region.label: region.bounding_box for region in read(labels, labels="values").regions}
    wide = 9 + (not with_ground)
    assert found == {v: (3 * with_ground, 10 * k, 40, 10 * k + wide) for k, v in enumerate(values)}


def test_cut_cells_are_dropped_when_asked_and_said(field):
    found = read(field[1], border="drop")
    assert [region.label for region in found.regions] == [2, 3, 7]
    assert found.dropped == ["label 40: cut by the border of the image"]


def test_a_binary_mask_with_one_piece_is_one_cell():
    found = read(disc((100, 100), (50, 50), 20))
    assert found.kind == "single"
    assert found.dropped == []


def test_pieces_of_similar_size_are_cells_each():
    found = read(two_discs() * np.uint8(255))
    assert found.kind == "components"
    assert [region.bounding_box for region in found.regions] == [(15, 15, 46, 46), (55, 55, 86, 86)]
    assert set(np.unique(found.labels)) == {0, 1, 2}


def test_a_dominant_piece_is_the_cell_and_the_rest_is_said():
    found = read(two_discs(radii=(20, 6)))
    assert found.kind == "single"
    assert found.regions[0].bounding_box == (10, 10, 51, 51)
    assert not found.labels[60:, 60:].any()
    assert found.dropped == ["1 small piece(s) beside the cell, 113 pixels"]


def test_pieces_touching_at_a_corner_are_one():
    mask = np.zeros((80, 80), bool)
    mask[20:40, 20:40] = mask[40:60, 40:60] = True
    assert read(mask).kind == "single"


def test_a_mask_on_the_grid_is_one_cell_even_in_pieces():
    found = read(disc((64, 64), (15, 15), 10) | disc((64, 64), (45, 45), 10))
    assert found.kind == "single"
    assert found.regions[0].bounding_box == (5, 5, 56, 56)


def test_specks_are_dropped_and_said():
    mask = two_discs()
    mask[5:7, 90:93] = True
    found = read(mask, labels="components")
    assert len(found.regions) == 2
    assert found.dropped == ["piece 1: 6 pixel(s), fewer than the 20 of a cell"]
    assert len(read(mask, labels="components", min_cell_pixels=6).regions) == 3


@pytest.mark.parametrize(("option", "count"), [("single", 1), ("components", 3), ("values", 4), ("auto", 4)])
def test_the_reading_may_be_prescribed(field, option, count):
    labels = field[1].copy()
    labels[disc(labels.shape, (42, 76), 4)] = 2  # joins cells 2 and 3
    labels[30:42, 42:76] = 2
    assert len(read(labels, labels=option).regions) == count


def grey_edge(mask, full=255):
    return np.rint(ndimage.gaussian_filter(mask.astype(float), 0.8) * full)


@pytest.mark.parametrize(("dtype", "full"), [("u1", 255), ("u2", 255), ("u2", 65535), ("f4", 255)])
def test_grey_edges_are_one_binary_mask(dtype, full):
    mask = disc((64, 64), (32, 32), 20)
    grey = grey_edge(mask, full).astype(dtype)
    assert len(np.unique(grey)) > 10
    found = read(grey)
    assert found.kind == "single"
    assert np.array_equal(found.labels > 0, grey > full / 2)


def test_grey_edges_of_a_float_mask():
    grey = ndimage.gaussian_filter(disc((64, 64), (32, 32), 20).astype(np.float32), 0.8)
    assert np.array_equal(read(grey / grey.max()).labels > 0, grey / grey.max() > 0.5)


def test_grey_edges_around_many_cells():
    assert len(read(grey_edge(two_discs()).astype(np.uint8)).regions) == 2


def test_labels_up_to_255_have_no_grey_edge():
    labels = np.zeros((160, 160), np.uint8)
    for k in range(256):
        labels[k // 16 * 10 : k // 16 * 10 + 9, k % 16 * 10 : k % 16 * 10 + 9] = k
    assert not has_grey_edge(labels)
    assert len(read(labels).regions) == 255
    few = np.where(labels == 128, 128, np.where(labels == 255, 255, 0)).astype(np.uint8)
    assert [region.label for region in read(few).regions] == [128, 255]


def test_all_real_masks_are_one_cell_above_127(rbc):
    for path in sorted((rbc / "mask").iterdir()):
        mask = read_plane(path, InputSettings(), "mask")[1]
        found = read(mask)
        assert found.kind == "single", path.name
        assert np.array_equal(found.labels > 0, mask > 127), path.name


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("stardist/masks/nuclei.tif", 65),
        ("blobs/blobs_masks.tif", 63),
        ("bbbc007/masks/A9 p5d (cropped 1).tif", 2),
        ("bbbc007/masks/A9 p5d (cropped 2).tif", 2),
    ],
)
def test_all_real_label_images_keep_their_labels(fov, name, count):
    found = read(read_plane(fov / name, InputSettings(), "mask")[1], min_cell_pixels=1)
    assert found.kind == "values"
    assert [region.label for region in found.regions] == list(range(1, count + 1))


def test_a_stray_pixel_does_not_decide_where_a_cell_lies(field):
    labels = field[1].copy()
    labels[118, 2] = 3
    assert read(labels).regions[1].bounding_box == (26, 76, 55, 105)


def test_a_label_in_two_halves_keeps_both():
    labels = np.zeros((100, 100), np.uint8)
    labels[10:20, 10:20] = labels[80:90, 80:90] = 1
    labels[50:60, 10:30] = 2
    assert read(labels).regions[0].bounding_box == (10, 10, 90, 90)


def test_jpeg_masks_are_thresholded_at_half():
    noisy = disc((80, 80), (40, 40), 20) * 245 + np.random.default_rng(0).integers(0, 11, (80, 80))
    assert np.array_equal(read(noisy.astype(np.uint8), lossy=True).labels > 0, noisy > 127)


def test_labels_in_a_jpeg_are_refused():
    with pytest.raises(InputError, match="a JPEG changes the values of labels; save the mask as TIFF or PNG"):
        read(two_discs() * np.uint8(7), lossy=True)


def test_all_zero():
    assert "the mask is empty (all values are 0)" in message_of(np.zeros((64, 64), np.uint8))


@pytest.mark.parametrize(
    "mask", [np.ones((64, 64), np.uint8), np.full((90, 70), 255, np.uint8), np.ones((1, 1))]
)
@pytest.mark.parametrize("option", ["auto", "values", "single", "components"])
def test_all_one(mask, option):
    assert "the mask covers the whole image" in message_of(mask, labels=option)


def test_nan_and_infinity():
    mask = disc((64, 64), (32, 32), 10).astype(np.float32)
    mask[3, 3] = np.nan
    assert "the mask holds NaN or infinite values" in message_of(mask)
    mask[3, 3] = np.inf
    assert "the mask holds NaN or infinite values" in message_of(mask)


def test_negative_labels(field):
    labels = field[1].astype(np.int32)
    labels[0, 0] = -1
    assert "negative values (down to -1)" in message_of(labels)
    assert "negative values (down to -1" in message_of(labels.astype(np.float32))


def test_fractions(field):
    assert "fractions such as 2.5, expected whole labels" in message_of(np.where(field[1], field[1] + 0.5, 0))


def test_labels_beyond_whole_floats(field):
    assert "too large for labels" in message_of(field[1] * 1e18)


def test_a_picture_given_as_mask():
    picture = np.random.default_rng(0).integers(0, 250, (100, 100)).astype(np.uint8)
    assert "so this is a picture, not a mask" in message_of(picture)


def test_nothing_but_specks():
    mask = np.zeros((80, 80), np.uint8)
    mask[3:5, 3:5] = mask[50, 50] = 1
    assert "the largest piece of the mask has 4 pixel(s), expected at least 20" in message_of(mask)
