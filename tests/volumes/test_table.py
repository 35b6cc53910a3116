"""``cells.csv`` says the state of every cell, opens in spreadsheets, and gives names back unchanged."""

from __future__ import annotations

import csv
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispr_cli.errors import StoreError
from dispr_cli.volumes import store as store_file
from dispr_cli.volumes import table
from dispr_cli.volumes.cells import Progress
from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.formulas import guarded, unguarded
from dispr_cli.volumes.rows import CellRow
from dispr_cli.volumes.store import VolumeStore
from dispr_cli.volumes.table import read_table

STRANGE_NAMES = [
    'quote " comma , semicolon ;',
    "line\nbreak\r\nand tab\t",
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "'=quoted already",
    "''@twice",
    "'plain quote",
    "細胞 ä \u202e right to left",
    "",
    " blanks ",
    "nul \x00 inside",
]


def _strange_store(path: Path) -> VolumeStore:
    store = create_or_resume(
        path,
        num_cells=len(STRANGE_NAMES),
        num_samples=1,
        voxel_size_um=None,
        configuration={},
        cells=STRANGE_NAMES,
        shard_cells=5,
    )
    for shard in store.pending_shards():
        names = store.cells.names.of_shard(shard)
        volumes = np.ones(store.grid.volume_shape(shard), np.uint8)
        store.write_shard(shard, volumes, [CellRow(name, source=name, extra={name: name}) for name in names])
    store.finish()
    return store


def test_columns_and_rows(full_store: VolumeStore) -> None:
    rows = list(read_table(full_store.path / "cells.csv"))
    assert ",".join(rows[0]) == (
        "index,name,source,label,y0,x0,y1,x1,touches_border,"
        "voxel_size_um,voxel_size_px,scaled,status,"
        "volume_voxels_mean,volume_voxels_sd,volume_voxels_low,volume_voxels_high,"
        "surface_voxels_mean,surface_voxels_sd,surface_voxels_low,surface_voxels_high,unlike_training,learned,"
        "volume_um3_mean,volume_um3_sd,volume_um3_low,volume_um3_high,"
        "surface_um2_mean,surface_um2_sd,surface_um2_low,surface_um2_high"
    )
    assert [row["index"] for row in rows] == [str(index) for index in range(7)]
    assert (
        rows[3] | {"name": "cell 3.tif", "source": "a/b.tif", "y0": "1", "x1": "40", "status": "done"}
        == rows[3]
    )
    assert float(rows[3]["volume_um3_mean"]) == pytest.approx(
        float(rows[3]["volume_voxels_mean"]) / 64, rel=1e-5
    )
    assert float(rows[3]["volume_um3_sd"]) == pytest.approx(float(rows[3]["volume_voxels_sd"]) / 64, rel=1e-5)


def test_unknown_voxel_size_gives_no_micrometres(
    tmp_path: Path, settings: dict[str, Any], fill: Callable[..., None]
) -> None:
    store = create_or_resume(tmp_path / "out.zarr", **{**settings, "voxel_size_um": None})
    fill(store)
    store.finish()
    row = next(read_table(store.path / "cells.csv"))
    assert row["voxel_size_um"] == ""
    assert not any("um3" in column or "px3" in column for column in row)


def test_where_micrometres_are_unknown_volumes_stand_in_pixels_of_the_image(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    store = create_or_resume(tmp_path / "out.zarr", **{**settings, "voxel_size_um": None})
    names = store.cells.names.of_shard(0)
    volumes = np.zeros(store.grid.volume_shape(0), np.uint8)
    volumes[:, :, :10, :10, :10] = 255
    rows = [
        CellRow(name, voxel_size_px=side, scaled="fit", voxel_size_um=um, surface_voxels_mean=600.0)
        for name, side, um in zip(names, (0.5, 2.0, 2.0), (None, None, 0.1), strict=True)
    ]
    store.write_shard(0, volumes, rows)
    store.finish()
    small, large, known, *_ = read_table(store.path / "cells.csv")
    assert (small["volume_px3_mean"], large["volume_px3_mean"]) == ("125", "8000")
    assert (small["surface_px2_mean"], large["surface_px2_mean"]) == ("150", "2400")
    assert (small["volume_um3_mean"], known["volume_um3_mean"]) == ("", "1")
    assert (small["scaled"], small["voxel_size_px"]) == ("fit", "0.5")


def test_states_extra_columns_and_label(tmp_path: Path, settings: dict[str, Any]) -> None:
    store = create_or_resume(tmp_path / "out.zarr", **settings)
    names = store.cells.names.of_shard(0)
    rows = [
        CellRow(names[0], label=7, touches_border=True, extra={"slice_iou": np.float32(0.5), "note": "a"}),
        CellRow(names[1], status="failed: the mask is empty", touches_border=False),
        CellRow(names[2], extra={"seconds": 3}),
    ]
    volumes = np.zeros(store.grid.volume_shape(0), np.uint8)
    volumes[0] = 255
    store.write_shard(0, volumes, rows)
    assert store.finish() == Progress(done=2, failed=1, pending=4)
    first, second, third, fourth, *_ = read_table(store.path / "cells.csv")
    assert (
        first | {"label": "7", "touches_border": "true", "slice_iou": "0.5", "note": "a", "seconds": ""}
        == first
    )
    assert second | {"status": "failed: the mask is empty", "volume_voxels_mean": "", "note": ""} == second
    assert third["seconds"] == "3"
    assert fourth | {"name": "cell 3.tif", "status": "pending", "source": ""} == fourth


def test_strange_names_come_back_unchanged(tmp_path: Path) -> None:
    store = _strange_store(tmp_path / "out.zarr")
    rows = list(read_table(store.path / "cells.csv"))
    assert [row["name"] for row in rows] == STRANGE_NAMES
    assert [row["source"] for row in rows] == STRANGE_NAMES
    assert [store.cells.index(name) for name in STRANGE_NAMES] == list(range(len(STRANGE_NAMES)))
    assert [row.name for row in store.cells] == STRANGE_NAMES


def test_no_entry_starts_a_formula(tmp_path: Path) -> None:
    store = _strange_store(tmp_path / "out.zarr")
    with (store.path / "cells.csv").open(newline="", encoding="utf-8") as file:
        entries = [entry for row in csv.reader(file) for entry in row]
    assert not [entry for entry in entries if entry.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]


@given(st.text(st.characters(codec="utf-8")))
@settings(deadline=None)
def test_neutral_text_comes_back(text: str) -> None:
    assert unguarded(guarded(text)) == text


def test_negative_numbers_stay_numbers() -> None:
    assert table._cell(-1.5) == "-1.5"
    assert table._cell(-3) == "-3"


def test_undecodable_file_name_is_shown_not_fatal(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"num_samples": 1, "voxel_size_um": None, "configuration": {}}
    store = create_or_resume(tmp_path / "out.zarr", num_cells=1, cells=["a\udcff.tif"], **arguments)
    store.finish()
    assert next(read_table(store.path / "cells.csv"))["name"] == r"a\udcff.tif"
    assert store.cells.index("a\udcff.tif") == 0


def test_shard_finished_meanwhile_by_another_process_is_in_the_table(
    tmp_path: Path, settings: dict[str, Any], fill: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = create_or_resume(tmp_path / "out.zarr", **settings)
    fill(store, 0, 1)
    write_table = store_file.write_table

    def overtaken(*arguments: Any) -> Progress:
        progress = write_table(*arguments)
        monkeypatch.setattr(store_file, "write_table", write_table)
        fill(store, 2)
        return progress

    monkeypatch.setattr(store_file, "write_table", overtaken)
    assert store.finish() == Progress(done=7, failed=0, pending=0)
    assert "pending" not in (store.path / "cells.csv").read_text()


def test_memory_does_not_grow_with_the_number_of_cells(tmp_path: Path, settings: dict[str, Any]) -> None:
    peaks = []
    for num_cells in (500, 20_000):
        names = [f"cell {index}" for index in range(num_cells)]
        arguments = {**settings, "num_cells": num_cells, "cells": names, "shard_cells": 50}
        store = create_or_resume(tmp_path / f"{num_cells}.zarr", **arguments)
        tracemalloc.start()
        store.finish()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b'name\n"x\n', b"name\n\xff\n"])
def test_other_files_are_not_tables(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cells.csv").write_bytes(content)
    with pytest.raises(StoreError, match=r"cells.csv"):
        list(read_table(tmp_path / "cells.csv"))


def test_status_has_three_forms() -> None:
    assert replace(CellRow("a"), status="failed: why").is_failed
    with pytest.raises(ValueError, match="neither done"):
        CellRow("a", status="maybe")
