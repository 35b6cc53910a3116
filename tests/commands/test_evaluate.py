"""``dispr evaluate`` as a user runs it: what it prints, where things are, how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.commands.test_reconstruct import assert_told, dispr
from tests.scoring.stores import RADII, around, ball, make_store, write_truths

FIRST = next(iter(RADII))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with truths, a store of three samples and one of a single one."""
    folder = tmp_path_factory.mktemp("evaluate")
    write_truths(folder / "truths")
    make_store(folder / "ours.zarr", around(-0.5, 0.0, 0.5), method="dispr")
    make_store(folder / "cylinder.zarr", around(-2.0), method="cylinder")
    return folder


def test_tables_on_screen_and_the_folder_last(place: Path) -> None:
    options = ("--truth", place / "truths", "--classes-from-name", "--no-figures", "--threads", 1)
    result = dispr("evaluate", place / "ours.zarr", place / "cylinder.zarr", *options)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[-1] == f"results: {place / 'evaluation'}"
    for words in (
        "Scores, one random sample",
        "dispr − cylinder",
        "macro",
        "95 % interval",
        "within one score",
    ):
        assert words in result.stdout
    assert "4 cells, dispr, cylinder" in result.stderr


def test_json_and_names(place: Path) -> None:
    result = dispr(
        *("evaluate", place / "ours.zarr", place / "ours.zarr", "--truth", place / "truths", "--json"),
        *("--name", "once", "--name", "again", "--out", place / "twice", "--no-figures"),
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert found["folder"] == str(place / "twice")
    assert found["means"]["once"] == found["means"]["again"]
    assert found["comparisons"]["iou"][0]["p_value"] == 1
    assert {Path(path).name for path in found["files"]} == {"scores.csv", "summary.json", "tables.md"}


def test_what_is_left_out_is_said(place: Path, tmp_path: Path) -> None:
    truths = write_truths(tmp_path / "truths", {name: r for name, r in RADII.items() if name != FIRST})
    write_truths(tmp_path / "truths", {"nobody": 5.0})
    options = ("--truth", truths, "--no-figures", "--out", tmp_path / "out")
    result = dispr("evaluate", place / "cylinder.zarr", *options)
    assert result.returncode == 0
    assert f"Not compared: {FIRST}: no ground truth in {truths}" in result.stderr
    assert "No reconstruction: ground truth nobody" in result.stderr
    assert "Not compared, with the reasons in summary.json: 1 cell." in result.stdout
    quiet = dispr("evaluate", place / "cylinder.zarr", *options, "--quiet")
    assert quiet.stderr == ""
    assert "Not compared, with the reasons in summary.json: 1 cell." in quiet.stdout


def test_a_broken_truth_ends_in_exit_code_one(place: Path, tmp_path: Path) -> None:
    truths = write_truths(tmp_path / "truths")
    tifffile.imwrite(truths / "obj" / f"{FIRST}.tif", np.full((64, 64, 64), np.nan, np.float32))
    options = ("--truth", truths, "--no-figures", "--out", tmp_path / "out", "--quiet")
    result = dispr("evaluate", place / "cylinder.zarr", *options)
    assert result.returncode == 1
    assert f"Not compared: {FIRST}:" in result.stderr
    assert "NaN" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--truth", "nowhere"), ("nowhere", "does not exist")),
        (("--truth", "truths", "--voxel-size", -1), ("--voxel-size is -1",)),
        (("--truth", "truths", "--truth-voxel-size", "1,2"), ("--truth-voxel-size is '1,2'", "z,y,x")),
        (("--truth", "truths", "--truth-voxel-size", "a"), ("--truth-voxel-size is 'a'",)),
        (("--truth", "truths", "--classes", "none.csv"), ("none.csv", "cannot be read")),
        (("--truth", "truths", "--name", "a", "--name", "b"), ("2 names for 1 stores",)),
        (("--truth", "truths", "--out", "cylinder.zarr/0"), ("inside the store",)),
    ],
)
def test_options_that_make_no_sense(place: Path, options: tuple[object, ...], words: tuple[str, ...]) -> None:
    assert_told(dispr("evaluate", "cylinder.zarr", *options, cwd=place), *words)


def test_what_is_no_store(place: Path, tmp_path: Path) -> None:
    for path, words in (
        (tmp_path, "holds no prediction"),
        (tmp_path / "none.zarr", "does not exist"),
        (place / "cylinder.zarr" / "cells.csv", "is a file: expected the folder of a store"),
    ):
        assert_told(dispr("evaluate", path, "--truth", place / "truths"), words)


def test_predictions_of_another_program_are_named_and_compared(place: Path, tmp_path: Path) -> None:
    for name, radius in RADII.items():
        np.save(tmp_path / f"{name}.npy", np.stack([ball(radius - 1), ball(radius)]) / 255)
    stores = (place / "cylinder.zarr", f"my method={tmp_path}")
    result = dispr("evaluate", *stores, "--truth", place / "truths", "--no-figures", "--json")
    assert result.returncode == 0, result.stderr
    assert "Warning: my method: it is not recorded whether 4 of 4 cells were learned" in result.stderr
    means = json.loads(result.stdout)["means"]
    assert list(means) == ["cylinder", "my method"]
    assert means["cylinder"]["iou"] < means["my method"]["iou"] < means["my method"]["best_iou"]


def test_learned_cells_are_warned_of_and_left_out(place: Path, tmp_path: Path) -> None:
    make_store(tmp_path / "net.zarr", around(0.0), method="net", learned={FIRST: True})
    command = ("evaluate", tmp_path / "net.zarr", "--truth", place / "truths", "--no-figures")
    warned = dispr(*command, "--quiet")
    assert "Warning: net: 1 of 4 cells were learned by these weights" in warned.stderr
    assert "Learned and new cells" in warned.stdout
    in_json = dispr(*command, "--json")
    assert "Warning: net: 1 of 4" in in_json.stderr
    assert json.loads(in_json.stdout)["learning"]["net"]["counts"] == {"learned": 1, "new": 3, "unknown": 0}
    held_out = dispr(*command, "--held-out-only")
    assert held_out.returncode == 0
    assert f"Not compared: {FIRST}: learned by the weights of net" in held_out.stderr
    assert "Warning" not in held_out.stderr
    assert "3 cells against the ground truths" in held_out.stdout
