"""Methods, classes and units are chosen as the user means them, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispr_cli.classification.labels import read_labels
from dispr_cli.errors import ConfigError, InputError
from dispr_cli.scoring.matching import (
    choose_classes,
    in_micrometres,
    match_cells,
    name_methods,
    read_classes,
    voxel_sizes,
)
from dispr_cli.scoring.truths import open_truths
from tests.scoring.stores import RADII, around, make_store, write_truths

CELLS = list(RADII)


def test_methods_are_named_by_store_then_file_then_user(tmp_path: Path) -> None:
    a, b = (make_store(tmp_path / f"{name}.zarr", around(0.0), method="dispr") for name in "ab")
    c = make_store(tmp_path / "c.zarr", around(0.0), method="cylinder")
    assert name_methods([a, c]) == ["dispr", "cylinder"]
    assert name_methods([a, b, c]) == ["a", "b", "cylinder"]
    assert name_methods([a, b], ["six steps", "two steps"]) == ["six steps", "two steps"]
    with pytest.raises(ConfigError, match="two stores would be called 'a'"):
        name_methods([a, a])
    with pytest.raises(ConfigError, match="two stores would be called 'x'"):
        name_methods([a, b], ["x", "x"])


def test_classes_come_from_a_table(tmp_path: Path) -> None:
    table = tmp_path / "classes.csv"
    kinds = {cell: f"kind {index % 2}" for index, cell in enumerate(CELLS)}
    rows = "".join(f"{cell},{kind},x\n" for cell, kind in kinds.items())
    table.write_text(f"\ufeffCell, Class ,more\n{rows}", encoding="utf-8")
    assert read_classes(table, CELLS) == kinds
    assert choose_classes(CELLS, table, False) == read_classes(table, CELLS)
    rows = "".join(f"{cell}.ome.tif,{kind}\n" for cell, kind in kinds.items())
    table.write_text(f" Filename ,Type\n{rows}")
    assert read_classes(table, CELLS) == read_labels(table) == kinds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cell,kind\na,b\n", "has the columns cell, kind; expected 'cell' and 'class'"),
        ("", "has the columns none"),
        (
            "filename,TYPE\nA_round000001.tif,a\nA_round000001,b\n",
            "has the classes 'a' and 'b'; expected one",
        ),
        ("cell,class\nA_round000001,a\n", "has no class for 'A_round000002' and 2 other"),
    ],
)
def test_tables_of_classes_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "classes.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read_classes(tmp_path / "classes.csv", CELLS)


def test_a_missing_table_of_classes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_classes(tmp_path / "none.csv", CELLS)


def test_classes_come_from_names_as_the_folds_have_them() -> None:
    assert set(choose_classes(CELLS, None, True).values()) == {"A_round", "B_large"}
    assert set(choose_classes(CELLS, None, False).values()) == {""}


def test_units_are_never_mixed(tmp_path: Path) -> None:
    truths = open_truths(write_truths(tmp_path / "truths"))
    known = make_store(tmp_path / "a.zarr", around(0.0), voxel_size_um=0.2, statuses={CELLS[0]: "failed: no"})
    unknown = make_store(tmp_path / "b.zarr", around(0.0), voxel_size_um=None)
    match = match_cells({"a": known, "b": unknown}, truths)
    sizes = voxel_sizes(match, None)
    assert sizes["a"] == dict.fromkeys(CELLS, 0.2)
    assert sizes["b"] == dict.fromkeys(CELLS)
    assert not in_micrometres(sizes)
    assert in_micrometres(voxel_sizes(match, 0.172))
    assert voxel_sizes(match, 0.172)["b"] == dict.fromkeys(CELLS, 0.172)
