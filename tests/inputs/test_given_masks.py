import os

import pytest

from dispr_cli.errors import InputError
from dispr_cli.inputs.layouts import find_pairs
from dispr_cli.inputs.settings import InputSettings

pytestmark = pytest.mark.usefixtures("nothing_leaks")


@pytest.fixture
def files(tmp_path):
    """Empty files: pairing looks at names alone."""

    def make(*names: str):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


def found(root, source, masks, **settings):
    pairing = find_pairs(root / source, InputSettings(**settings), root / masks)
    short = [
        (pair.name, *(path and os.path.relpath(path, root) for path in (pair.image, pair.mask)))
        for pair in pairing.pairs
    ]
    return short, {str(left.path.relative_to(root)): left.reason for left in pairing.left_out}


def message_of(root, source, masks, **settings):
    with pytest.raises(InputError) as caught:
        find_pairs(root / source, InputSettings(**settings), root / masks)
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "masks"),
    [
        ("a.tif", "other/whatever.png"),
        ("a.tif", "other"),
        ("a.tif", "whatever.tif"),
        ("cells", "other/whatever_seg.npy"),
        ("cells", "cells/whatever.png"),
        ("cells", "cells/inside"),
    ],
)
def test_one_image_and_one_mask_need_no_names(files, source, masks):
    image = "a.tif" if source == "a.tif" else "cells/a.tif"
    mask = masks if "." in masks else f"{masks}/whatever.png"
    assert found(files(image, mask), source, masks) == ([("a", image, mask)], {})


@pytest.mark.parametrize("mask", ["a.tif", "a_cp_masks.png", "mask_a.tif", "a_seg.npy"])
def test_folders_are_matched_by_name(files, mask):
    root = files("cells/a.tif", "cells/b.tif", f"seg/{mask}", "seg/c.tif")
    assert found(root, "cells", "seg") == (
        [("a", "cells/a.tif", f"seg/{mask}")],
        {"cells/b.tif": "no mask belongs to this image", "seg/c.tif": "no image belongs to this mask"},
    )


def test_places_below_count_before_names(files):
    root = files("cells/d1/a.tif", "cells/d2/a.tif", "seg/d1/a_mask.tif", "seg/d2/a_mask.tif")
    assert [pair[1:] for pair in found(root, "cells", "seg")[0]] == [
        ("cells/d1/a.tif", "seg/d1/a_mask.tif"),
        ("cells/d2/a.tif", "seg/d2/a_mask.tif"),
    ]


def test_names_count_where_no_place_fits(files):
    root = files("cells/d1/a.tif", "cells/d2/b.tif", "seg/a_mask.tif", "seg/b_mask.tif")
    assert [pair[1:] for pair in found(root, "cells", "seg")[0]] == [
        ("cells/d1/a.tif", "seg/a_mask.tif"),
        ("cells/d2/b.tif", "seg/b_mask.tif"),
    ]


def test_one_image_of_many_finds_its_mask_by_name(files):
    root = files("cells/a.tif", "cells/b.tif", "seg/a.tif", "seg/b.tif")
    assert found(root, "cells/b.tif", "seg")[0] == [("b", "cells/b.tif", "seg/b.tif")]


def test_masks_beside_the_images_are_left_out(files):
    root = files(
        "cells/a.tif", "cells/a_mask.tif", "cells/b.tif", "seg/a.tif", "seg/b.tif", "cells/a_flows.tif"
    )
    assert found(root, "cells", "seg") == (
        [("a", "cells/a.tif", "seg/a.tif"), ("b", "cells/b.tif", "seg/b.tif")],
        {
            "cells/a_mask.tif": f"--masks {root / 'seg'} is read",
            "cells/a_flows.tif": "a picture of Cellpose's masks",
        },
    )


def test_masks_inside_the_folder_of_images_are_no_images(files):
    root = files("cells/a.tif", "cells/b.tif", "cells/mine/a.tif", "cells/mine/b.tif")
    assert [pair[0] for pair in found(root, "cells", "cells/mine")[0]] == ["a", "b"]


def test_a_source_with_image_and_mask_folders(files):
    root = files("d/image/a.tif", "d/image/b.tif", "d/mask/a.tif", "seg/a.tif", "seg/b.tif")
    assert [pair[1:] for pair in found(root, "d", "seg")[0]] == [
        ("d/image/a.tif", "seg/a.tif"),
        ("d/image/b.tif", "seg/b.tif"),
    ]


def test_images_without_one_are_segmented_when_asked(files):
    root = files("cells/a.tif", "cells/b.tif", "seg/a.tif", "seg/c.tif")
    assert found(root, "cells", "seg", mask_from="otsu")[0] == [
        ("a", "cells/a.tif", "seg/a.tif"),
        ("b", "cells/b.tif", None),
    ]


@pytest.mark.parametrize(
    ("source", "masks", "message"),
    [
        ("cells", "no", "no: there is no such file or folder of masks."),
        ("cells", "notes.txt", "notes.txt: expected a mask"),
        ("cells", "empty", "empty: no mask in this folder"),
        ("empty", "seg", "empty: no image in it for the masks of"),
        ("cells", "seg/x.tif", "x.tif: one mask for 2 images"),
        ("cells", "seg", "none of its 2 image(s) goes by its name with one of the 2 mask(s)"),
        ("table.csv", "seg", "table.csv: the manifest names the masks, so --masks"),
        ("notes.txt", "seg", "notes.txt: expected a TIFF, PNG or JPEG image"),
        ("missing", "seg", "missing: there is no such file or folder."),
    ],
)
def test_what_does_not_fit_is_said(files, source, masks, message):
    root = files("cells/a.tif", "cells/b.tif", "seg/x.tif", "seg/y.tif", "notes.txt", "table.csv")
    (root / "empty").mkdir()
    assert message in message_of(root, source, masks)
