"""Which file is the mask of which image, by their names."""

from pathlib import Path

import pytest

from dispr_cli.inputs.layouts import find_pairs
from dispr_cli.inputs.settings import InputSettings
from tests.inputs.pairings import found, left_out, message_of

pytestmark = pytest.mark.usefixtures("nothing_leaks")


@pytest.mark.parametrize(
    "companion",
    [
        "a_mask.tif",
        "a_masks.tif",
        "a_cp_masks.tif",
        "a_cp_masks.png",
        "a.stardist.tif",
        "a_Mask.TIFF",
        "a_label.tif",
    ],
)
@pytest.mark.parametrize("image", ["a.tif", "a.png", "a.jpg", "a_img.tif"])
def test_companions_in_one_folder(folder, image, companion):
    assert found(folder(image, companion)) == {"a": (image, companion)}


@pytest.mark.parametrize(
    "mask", ["masks/a.tif", "masks/a_mask.tif", "masks/a_cp_masks.png", "mask/a.stardist.tif"]
)
def test_a_folder_of_masks_beside_the_images(folder, mask):
    assert found(folder("a.tif", mask)) == {"a": ("a.tif", mask)}


def test_equal_names_win_over_suffixes(folder):
    source = folder("image/a.tif", "mask/a.tif", "mask/b_mask.tif", "image/b_mask.tif")
    assert found(source)["b_mask"] == ("image/b_mask.tif", "mask/b_mask.tif")


def test_two_masks_of_an_image_are_refused(folder):
    text = message_of(folder("a.tif", "a_mask.tif", "a_cp_masks.tif"))
    assert "a.tif: has more than one mask (a_cp_masks.tif and a_mask.tif); keep one of them" in text


@pytest.mark.parametrize("worse", ["png", "jpg"])
@pytest.mark.parametrize(
    ("image", "mask"),
    [("image/a.tif", "mask/a"), ("a.tif", "a_cp_masks"), ("a.tif", "a_seg"), ("a.tif", "masks/a_cp_masks")],
)
def test_of_a_mask_in_two_formats_the_better_is_taken(folder, image, mask, worse):
    source = folder(image, f"{mask}.tif", f"{mask}.{worse}", "b.tif", "b_mask.png")
    assert found(source)["a"] == (image, f"{mask}.tif")
    assert set(found(source)) == {"a", "b"}
    better = Path(mask).name
    assert left_out(source) == {f"{mask}.{worse}": f"{better}.tif beside it is read"}


def test_masks_of_equal_stem_and_format_are_refused(folder):
    text = message_of(folder("image/a.tif", "mask/a.tif", "mask/a.tiff"))
    assert "a second mask of the same name" in text


def test_two_images_of_a_mask_are_refused(folder):
    assert "goes with the same mask" in message_of(folder("a.tif", "a_img.tif", "a_mask.tif"))


def test_two_folders_of_masks_one_is_read_and_the_other_said(folder):
    source = folder("images/a.tif", "masks/a.tif", "labels/a.txt")
    assert set(found(source)) == {"a"}
    assert left_out(source) == {"labels": "not read, masks/ beside it is"}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("img_f.tif", "mask_f.tif"),
        ("image_f.png", "masks_f.tif"),
        ("f.tif", "mask_f.tif"),
        ("f.tif", "label_f.tif"),
        ("f.tif", "f-labels.tif"),
        ("f.tif", "f-mask.png"),
        ("f.tif", "f_seg.tif"),
        ("f.tif", "f_segmentation.tif"),
        ("f.ome.tif", "f_stardist.tif"),
        ("f.tif", "f_seg.npy"),
        ("f_img.tif", "f_seg.npy"),
        ("images/f.tif", "masks/f_seg.npy"),
        ("f.tif", "stardist_masks/f.tif"),
        ("images/f.tif", "cellpose_masks/f_cp_masks.tif"),
        ("f.tif", "segmentation/f.tif"),
        ("raw/f.tif", "masks/f.tif"),
        ("raw/f.tif", "stardist_labels/f.tif"),
        ("anything.tif", "Label Image.tif"),
        ("day1/anything.tif", "day1/labels.png"),
        ("anything.tif", "masks/Label Image.tif"),
    ],
)
def test_names_that_programs_and_people_give_masks(folder, image, mask):
    source = folder(image, mask)
    assert list(found(source).values()) == [(image, mask)]
    assert left_out(source) == {}
    single = find_pairs(source / image, InputSettings()).pairs
    assert [(pair.image, pair.mask) for pair in single] == [(str(source / image), str(source / mask))]


def test_images_may_be_named_like_masks(folder):
    source = folder("seg_001.tif", "seg_001_mask.tif", "b_seg.tif", "b_seg_mask.tif", "c-labels.tif")
    assert found(source) == {
        "seg_001": ("seg_001.tif", "seg_001_mask.tif"),
        "b_seg": ("b_seg.tif", "b_seg_mask.tif"),
    }
    assert left_out(source) == {"c-labels.tif": "no mask belongs to this image"}


def test_the_surer_name_of_a_mask_wins(folder):
    source = folder("a.tif", "a_seg.tif", "a_masks.tif", "a_seg.npy", "old_masks/a.tif")
    assert found(source) == {"a": ("a.tif", "a_masks.tif")}
    assert left_out(source) == {
        "a_seg.npy": "a_masks.tif is read for the same image",
        "a_seg.tif": "a_masks.tif is read for the same image",
        "old_masks/a.tif": "no image belongs to this mask",
    }


def test_a_folder_named_like_masks_may_be_a_source_of_its_own(folder):
    source = folder(
        "x.tif",
        "x_mask.tif",
        "cell_masks/image/a.tif",
        "cell_masks/mask/a.tif",
        "raw/y.tif",
        "raw/y_mask.tif",
    )
    assert set(found(source)) == {"x", "cell_masks/a", "raw/y"}


def test_a_label_image_beside_several_images_belongs_to_none(folder):
    text = message_of(folder("a.tif", "b.tif", "Label Image.tif"))
    assert "no pair" in text
    assert "--masks or a manifest" in text
    assert "_cp_masks, _masks, _mask, _labels, _label, .stardist, _seg, mask_X" in text


def test_pictures_of_masks_are_no_images(folder):
    source = folder(
        "a.tif", "a_cp_masks.png", "a_cp_output.png", "a_outlines.png", "a_flows.tif", "b_flows.tif"
    )
    for settings in ({}, {"mask_from": "otsu"}):
        said = left_out(source, **settings)
        assert [name for name, why in said.items() if why == "a picture of Cellpose's masks"] == [
            "a_cp_output.png",
            "a_flows.tif",
            "a_outlines.png",
        ]
    assert set(found(source, mask_from="otsu")) == {"a", "b_flows"}
