import os
from pathlib import Path

import pytest

from dispr_cli.inputs.layouts import find_pairs
from dispr_cli.inputs.settings import InputSettings
from tests.inputs.pairings import found, left_out, message_of

pytestmark = pytest.mark.usefixtures("nothing_leaks")


def test_image_mask_obj(folder):
    source = folder(*(f"{kind}/c{k}.tif" for kind in ("image", "mask", "obj") for k in (1, 2)))
    pairing = find_pairs(source, InputSettings())
    assert found(source) == {f"c{k}": (f"image/c{k}.tif", f"mask/c{k}.tif") for k in (1, 2)}
    assert [pair.truth for pair in pairing.pairs] == [str(source / "obj/c1.tif"), str(source / "obj/c2.tif")]
    assert pairing.left_out == []


def test_below_train_and_test(folder):
    source = folder(
        *(f"{part}/{kind}/a.tif" for part in ("train", "test") for kind in ("image", "mask", "obj"))
    )
    assert found(source) == {
        "test/a": ("test/image/a.tif", "test/mask/a.tif"),
        "train/a": ("train/image/a.tif", "train/mask/a.tif"),
    }


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("images", "masks"),
        ("Images", "Masks"),
        ("images", "labels"),
        ("img", "label"),
        ("imagesTr", "labelsTr"),
        ("raw", "masks"),
        ("images", "cellpose_masks"),
    ],
)
def test_other_names_of_the_folders(folder, images, masks):
    source = folder(f"{images}/a b (1).tif", f"{masks}/a b (1).png")
    assert found(source) == {"a b (1)": (f"{images}/a b (1).tif", f"{masks}/a b (1).png")}


def test_folders_within_the_folders(folder):
    source = folder("images/day1/a.tif", "images/day2/a.tif", "masks/day1/a.tif", "masks/day2/a.tif")
    assert found(source)["day2/a"] == ("images/day2/a.tif", "masks/day2/a.tif")


def test_companions_inside_a_folder_of_images(folder):
    source = folder("images/a.tif", "images/a_cp_masks.tif", "images/b.tif")
    assert found(source) == {"a": ("images/a.tif", "images/a_cp_masks.tif")}
    assert left_out(source) == {"images/b.tif": "no mask belongs to this image"}


def test_nnunet_in_one_folder(folder):
    source = folder("case_0000.tif", "case.tif", "other_0000.png", "other.png")
    assert found(source) == {"case": ("case_0000.tif", "case.tif"), "other": ("other_0000.png", "other.png")}


def test_nnunet_in_two_folders_with_channels(folder):
    source = folder("imagesTr/c_0000.tif", "imagesTr/c_0001.tif", "labelsTr/c.tif")
    assert found(source, channel=1) == {"c": ("imagesTr/c_0001.tif", "labelsTr/c.tif")}
    assert left_out(source, channel=1) == {"imagesTr/c_0000.tif": "another channel of c"}
    assert "one of 2 channel files of a cell; say which with --channel (0, 1)" in message_of(source)
    assert "no file of channel 7" in message_of(source, channel=7)


def test_four_digits_are_not_always_a_channel(folder):
    source = folder("img_0001.tif", "img_0001_mask.tif", "img_0002.tif", "img_0002_mask.tif")
    assert set(found(source)) == {"img_0001", "img_0002"}
    source = folder("image/c_0003.tif", "mask/c_0003.tif")
    assert "c_0003" in found(source)


def test_ome_is_part_of_the_suffix(folder):
    assert found(folder("image/a.ome.tif", "mask/a.tif")) == {"a": ("image/a.ome.tif", "mask/a.tif")}


def test_unmatched_files_are_said(folder):
    source = folder("image/a.tif", "mask/a.tif", "image/b.tif", "mask/c.tif", "obj/d.tif")
    assert left_out(source) == {
        "image/b.tif": "no mask belongs to this image",
        "mask/c.tif": "no image belongs to this mask",
        "obj/d.tif": "no image belongs to this ground truth",
    }


def test_images_without_masks_are_segmented_only_when_asked(folder):
    source = folder("image/a.tif", "mask/a.tif", "image/b.tif")
    assert set(found(source)) == {"a"}
    assert found(source, mask_from="otsu")["b"] == ("image/b.tif", None)
    assert left_out(source, mask_from="otsu") == {}


def test_what_is_no_image_is_said_where_it_matters(folder):
    source = folder(
        "a.tif", "a_mask.tif", "a_seg.npy", "b.czi", "c.npz", "README.md", "notes.txt", "table.csv"
    )
    assert left_out(source) == {
        "a_seg.npy": "a_mask.tif is read for the same image",
        "b.czi": "this format is not read; export it as TIFF",
        "c.npz": "a NumPy file is not read; save it as TIFF",
    }


def test_files_of_the_system_are_not_there(folder):
    source = folder(
        "image/a.tif", "mask/a.tif", "image/._a.tif", "image/.DS_Store", "mask/Thumbs.db", ".git/a.tif"
    )
    assert set(found(source)) == {"a"}
    assert left_out(source) == {}


def test_equal_stems_twice_are_refused(folder):
    source = folder("image/a.tif", "image/a.png", "mask/a.tif")
    assert "a.tif: a second image of the same name as a.png; keep one of them" in message_of(source)


def test_a_missing_source(tmp_path):
    assert message_of(tmp_path / "no") == f"{tmp_path / 'no'}: there is no such file or folder."


def test_an_empty_folder(folder, tmp_path):
    (tmp_path / "data").mkdir()
    assert "no TIFF, PNG or JPEG image in this folder; expected image/ and mask/" in message_of(folder())
    assert "(b.czi: this format is not read" in message_of(folder("b.czi"))


def test_images_alone(folder):
    text = message_of(folder("image/a.tif", "image/b.tif"))
    assert "2 image(s), 0 mask(s), no pair" in text
    assert "--mask-from otsu" in text
    assert "give the folder above" in message_of(folder() / "image")


def test_masks_alone(folder):
    assert "2 mask(s) and no image" in message_of(folder("mask/a.tif", "mask/b.tif"))


def test_names_that_do_not_fit(folder):
    assert "1 image(s), 1 mask(s), no pair" in message_of(folder("image/a.tif", "mask/b.tif"))


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("a.tif", "a_masks.tif"),
        ("a_img.tif", "a_mask.png"),
        ("a_0000.tif", "a.tif"),
        ("images/a.tif", "masks/a.tif"),
        ("image/a.tif", "mask/a_mask.tif"),
    ],
)
def test_a_single_file_finds_its_mask(folder, image, mask):
    source = folder(image, mask, "zebra.tif", "a2.tif", "a2_mask.tif")
    pairing = find_pairs(source / image, InputSettings())
    assert [(pair.name, pair.image, pair.mask) for pair in pairing.pairs] == [
        ("a", str(source / image), str(source / mask))
    ]


@pytest.mark.parametrize("image", ["image/a.tif", "raw/a.tif"])
def test_a_single_file_finds_its_mask_from_within_its_folder(folder, monkeypatch, image):
    source = folder(image, "mask/a.tif", "obj/a.tif")
    monkeypatch.chdir((source / image).parent)
    (pair,) = find_pairs(Path("a.tif"), InputSettings()).pairs
    assert (pair.image, pair.mask) == ("a.tif", str(source / "mask/a.tif"))
    assert pair.truth == str(source / "obj/a.tif")


def test_images_alone_from_within_their_folder(folder, monkeypatch):
    monkeypatch.chdir(folder("image/a.tif", "mask/a.tif") / "image")
    assert "1 image(s) without masks; give the folder above" in message_of(Path())


def test_a_single_file_finds_its_truth(folder):
    source = folder("image/a.tif", "mask/a.tif", "obj/a.tif")
    assert find_pairs(source / "image/a.tif", InputSettings()).pairs[0].truth == str(source / "obj/a.tif")


def test_a_single_file_without_mask(folder):
    source = folder("a.tif", "b.tif", "b_mask.tif")
    assert "a.tif: no mask belongs to this image" in message_of(source / "a.tif")
    assert found(source / "a.tif", mask_from="otsu") == {"a": ("a.tif", None)}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a_seg.npy", "the masks of an image; give the image or the folder"),
        ("a.nd2", "export it as TIFF"),
        ("a.txt", "expected a TIFF"),
    ],
)
def test_a_single_file_that_is_no_image(folder, name, message):
    assert message in message_of(folder(name) / name)


def test_loops_of_links_end(folder, monkeypatch):
    source = folder("image/a.tif", "mask/a.tif", "deep/image/b.tif", "deep/mask/b.tif")
    (source / "deep" / "again").symlink_to(source, target_is_directory=True)
    (source / "image" / "loop").symlink_to(source / "image", target_is_directory=True)
    listed = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or real(path))
    assert set(found(source)) == {"a", "deep/b"}
    assert len(listed) < 12


def test_linked_files_and_folders_are_followed(folder, tmp_path):
    source = folder("x.tif", "x_mask.tif")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "linked").symlink_to(source, target_is_directory=True)
    assert set(found(tmp_path / "other")) == {"linked/x"}


def test_a_folder_that_cannot_be_listed(folder, monkeypatch):
    source = folder("a.tif", "a_mask.tif", "secret/b.tif")
    real = os.scandir

    def refuse(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert left_out(source) == {"secret": "cannot be listed (Permission denied)"}
    assert message_of(source / "secret") == f"{source / 'secret'}: cannot be read (Permission denied)."


def test_the_order_is_that_of_the_names(folder):
    source = folder(*(f"{kind}/{name}.tif" for kind in ("mask", "image") for name in "bac"))
    assert list(found(source)) == ["a", "b", "c"]


def test_the_fields_of_others(fov):
    pairs = find_pairs(fov, InputSettings())
    assert [pair.name for pair in pairs.pairs] == [
        "bbbc007/A9 p5d (cropped 1)",
        "bbbc007/A9 p5d (cropped 2)",
        "blobs/blobs",
        "stardist/nuclei",
    ]
    assert [left.path.name for left in pairs.left_out] == ["hela-cells.tif"]
