"""Truths are found by the names their cells have in a store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from dispr_cli.errors import InputError
from dispr_cli.inputs.truth_folder import find_truths, samples_by_cell, truth_by_cell

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


def test_links_are_followed_as_those_of_images_are(tmp_path):
    save(tmp_path / "elsewhere", "a.tif", "deep/b.tif")
    (tmp_path / "elsewhere" / "deep" / "again").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "obj").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert set(find_truths(tmp_path / "cells")) == {"a", "deep_b"}


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


def test_known_names_tell_a_cell_from_a_sample() -> None:
    names = ["cell_1", "cell_1_0", "cell_1_10", "cell_1_2", "cell_2", "odd_3", "odd_4"]
    files = {name: Path(f"{name}.tif") for name in names}

    def found(*cells: str) -> dict[str, list[str]]:
        return {cell: [path.stem for path in paths] for cell, paths in samples_by_cell(files, cells).items()}

    with pytest.raises(
        InputError, match=r"cell_1_0\.tif: is a sample of cell 'cell_1', which has.* cell_1\.tif"
    ):
        found("cell_1")
    del files["cell_1"]
    strangers = {name: [name] for name in ("odd_3", "odd_4")}
    assert found("cell_2", "cell_1") == {
        "cell_2": ["cell_2"],
        "cell_1": ["cell_1_0", "cell_1_2", "cell_1_10"],
        **strangers,
    }
    assert found("odd")["odd"] == ["odd_3", "odd_4"]
    files["cell_1_02"] = Path("cell_1_02.tif")
    with pytest.raises(InputError, match="is sample 2 of a cell, and so is"):
        found("cell_1")
