"""``dispr features`` as a user runs it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from dispr_cli.morphology import measure
from dispr_cli.shape.features.registry import measure_shape
from dispr_cli.volumes.store import open_store
from tests.commands.in_process import dispr_here as dispr
from tests.commands.test_reconstruct import ROOT, assert_told


def test_a_folder_becomes_a_table(phantom_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "features.csv"
    result = dispr("features", phantom_folder, "--out", out, "--voxel-size", 0.172)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [f"table: {out}"]
    assert "7 shapes, 275 features, lengths in um" in result.stderr
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert all(50 < float(row["volume"]) < 1000 for row in rows)
    assert_told(dispr("features", phantom_folder, "--out", out), "is there already", "--overwrite")


def test_a_store_becomes_a_table(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What an untrained network draws is noise, all surface, and slow to measure whole.
    monkeypatch.setattr(
        measure, "measure_shape", lambda volume, _: measure_shape(volume[24:40, 16:48:2, 16:48:2])
    )
    store, out = tmp_path / "out.zarr", tmp_path / "predicted.parquet"
    made = dispr("reconstruct", phantom_folder, store, "-n", 2, "--steps", 1, "--weights", tiny_weights)
    assert made.returncode == 0, made.stderr
    result = dispr("features", store, "--out", out, "--images", phantom_folder, "--json")
    assert result.returncode in (0, 1), result.stderr
    found = json.loads(result.stdout)
    assert (found["shapes"], found["features"], found["table"]) == (14, 275, str(out))


def test_cells_without_shapes_are_counted(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        measure, "measure_shape", lambda volume, _: measure_shape(volume[24:40, 16:48:2, 16:48:2])
    )
    store = tmp_path / "out.zarr"
    command = ("reconstruct", phantom_folder, store, "--samples", 1, "--steps", 1, "--weights", tiny_weights)
    assert dispr(*command, "--part", "1/2").returncode == 0
    result = dispr("features", store, "--out", tmp_path / "features.csv")
    assert result.returncode == 1, result.stderr
    done = open_store(store).progress().done
    assert f"{7 - done} cells of the store are not in the table" in result.stderr


def test_bad_input_is_told(tmp_path: Path) -> None:
    assert_told(dispr("features"), "--out")
    assert_told(dispr("features", tmp_path / "none", "--out", tmp_path / "t.csv"), "is no folder")
    assert_told(
        dispr("features", tmp_path, "--out", tmp_path / "t.csv", "--weights", tmp_path / "none.safetensors"),
        "none.safetensors",
    )


def test_the_documentation_is_what_list_prints() -> None:
    page = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    assert page == dispr("features", "--list").stdout, "run: dispr features --list > docs/features.md"
