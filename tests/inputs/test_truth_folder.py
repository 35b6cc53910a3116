"""Truths are found by the names their cells have in a store."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from dispr_cli.errors import InputError
from dispr_cli.inputs.truth_folder import find_truths, truth_by_cell

CUBE = np.zeros((4, 4, 4), np.uint8)


def save(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npy":
            np.save(path, CUBE)
        else:
            tifffile.imwrite(path, CUBE)


def test_obj_wins_over_images_beside_it(tmp_path):
    save(tmp_path, "image/a.tif", "mask/a.tif", "obj/a.tif", "obj/b.ome.tif", "obj/._a.tif")
    (tmp_path / "obj" / "notes.txt").write_text("mine")
    assert find_truths(tmp_path) == {"a": tmp_path / "obj/a.tif", "b": tmp_path / "obj/b.ome.tif"}


def test_train_and_test_have_their_names_in_the_store(tmp_path):
    save(tmp_path, "train/obj/a.tif", "test/obj/a.tif", "test/obj/b.tif")
    truths = find_truths(tmp_path)
    assert set(truths) == {"train_a", "test_a", "test_b"}
    assert truth_by_cell(truths, ["train_a", "a", "b"]) == {
        "train_a": tmp_path / "train/obj/a.tif",
        "b": tmp_path / "test/obj/b.tif",
    }


def test_volumes_named_like_the_cells(tmp_path):
    save(tmp_path, "a.tif", "field#3.npy", "sub/c.btf")
    (tmp_path / "out.zarr").mkdir()
    save(tmp_path / "out.zarr", "d.tif")
    assert set(find_truths(tmp_path)) == {"a", "field#3", "sub_c"}


def test_the_obj_folder_itself(tmp_path):
    save(tmp_path, "obj/a.tif")
    assert set(find_truths(tmp_path / "obj")) == {"a"}


def test_what_is_no_folder_of_truths(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find_truths(tmp_path / "none")
    with pytest.raises(InputError, match="holds no ground truth"):
        find_truths(tmp_path)
    save(tmp_path, "a.tif", "a.npy")
    with pytest.raises(InputError, match="a second ground truth of the same name"):
        find_truths(tmp_path)
    with pytest.raises(InputError, match="is a file"):
        find_truths(tmp_path / "a.tif")
