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


@pytest.mark.parametrize("dtype", ["?", "u1", "f4"])
def test_all_zero_is_a_field_without_cells(dtype):
    found = read(np.zeros((64, 64), dtype))
    assert found.regions == []
    assert found.dropped == ["no cells in this mask (all values are 0)"]


@pytest.mark.parametrize("option", ["auto", "single", "components"])
@pytest.mark.parametrize("full", [1, 255])
def test_an_inverted_binary_mask_is_refused(field, option, full):
    text = message_of((field[1] == 0) * np.uint8(full), labels=option)
    assert "the mask looks inverted" in text
    assert "invert it, so that the ground is 0" in text


def test_an_inverted_crop_is_refused_with_grey_edges_too(crop):
    assert "the mask looks inverted" in message_of(255 - crop[1])
    assert "the mask looks inverted" in message_of(255 - grey_edge(crop[1] > 0).astype(np.uint8))


@pytest.mark.parametrize(("ground", "cells"), [(1, 2), (2, 1)])
def test_a_labelled_background_is_refused(field, ground, cells):
    """As ilastik's simple segmentation has it."""
    text = message_of(np.where(field[1] > 0, cells, ground).astype(np.uint8))
    assert f"the background seems to be labelled {ground}" in text
    assert "set the background to 0" in text


def test_a_labelled_background_among_cells_and_their_outlines_is_refused(field):
    labels = np.where(field[1] > 0, field[1], 1)
    labels[ndimage.binary_dilation(field[1] > 0) & (field[1] == 0)] = 0
    assert "labelled 1" in message_of(labels, labels="values")


def test_cells_that_fill_the_image_are_taken_when_said_so():
    labels = np.arange(1, 17).reshape(4, 4).repeat(20, 0).repeat(20, 1)
    text = message_of(labels)
    assert "no pixel of the mask is 0 (it holds 1, 2, 3, 4, ... 16)" in text
    assert "--labels values" in text
    assert len(read(labels, labels="values").regions) == 16


@pytest.mark.parametrize("shape", [(64, 64), (41, 41), (90, 80)])
def test_a_cell_that_fills_its_crop_is_a_cell(shape):
    centre = (shape[0] // 2, shape[1] // 2)
    tight = disc(shape, centre, max(centre))
    filling = disc(shape, centre, 1.3 * max(centre))
    holey = filling.copy()
    holey[centre[0], centre[1] : centre[1] + 9] = False  # nine pixels are no cell
    for mask in (tight, filling, holey):
        assert all(mask[edge].any() for edge in (0, -1)) or shape == (90, 80)
        assert read(mask).kind == "single"


def test_a_cell_cut_by_two_borders_is_a_cell():
    mask = np.ones((80, 80), bool)
    mask[:15, :15] = False
    assert read(mask).regions[0].area == 80 * 80 - 15 * 15


def test_crowded_cells_around_the_border_are_cells():
    """Pieces that hold more than half of the border, and gaps between them, are no ground."""
    mask = np.zeros((120, 120), bool)
    for y in range(0, 120, 20):
        for x in range(0, 120, 20):
            mask[y : y + 19, x : x + 19] = True
    assert len(read(mask).regions) == 36


def test_a_value_for_a_class_of_cells_is_noted(field):
    classes = np.where(field[1] == 7, 2, (field[1] > 0)).astype(np.uint8)
    found = read(classes)
    assert [region.label for region in found.regions] == [1, 2]
    assert found.notes == [
        "label 1 consists of 3 separate pieces: each label is taken for one cell; if each piece is a cell, "
        "give --labels components"
    ]
    assert read(classes, labels="components").notes == []
    classes[field[1] == 40] = 2
    assert "label 1 consists of 2 separate pieces, 1 more label(s) of several too" in read(classes).notes[0]


def test_stray_pixels_of_a_label_are_not_noted(field):
    labels = field[1].copy()
    labels[110:114, 2:7] = 3  # a cell's area, but nothing beside that of the label
    labels[2, 2] = 7
    assert read(labels).notes == []


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
