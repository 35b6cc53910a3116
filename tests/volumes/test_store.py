"""What is written is read back; what cannot be written is said, and what was finished is kept."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dispr_cli.errors import StoreError
from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.layout import shard_file
from dispr_cli.volumes.rows import CellRow
from dispr_cli.volumes.store import VolumeStore, open_store

Fill = Callable[..., None]


def test_volumes_come_back_as_they_were_written(full_store: VolumeStore) -> None:
    store = open_store(full_store.path)
    first, rows = store.read_shard(0)
    assert [row.name for row in rows] == ["cell 0.tif", "cell 1.tif", "cell 2.tif"]
    assert np.array_equal(store.read("cell 1.tif"), first[1])
    assert np.array_equal(store.read(1, sample=1), first[1, 1])
    assert first[1].max() == 255
    assert not np.array_equal(first[1, 0], first[1, 1])


def test_random_voxels_survive_compression(tmp_path: Path, settings: dict[str, Any]) -> None:
    store = create_or_resume(tmp_path / "noise.zarr", **settings)
    noise = np.random.default_rng(0).integers(0, 256, store.grid.volume_shape(2), np.uint8)
    store.write_shard(2, noise, [CellRow("cell 6.tif")])
    assert np.array_equal(open_store(store.path).read("cell 6.tif"), noise[0])


def test_iterating_meets_every_cell_once(full_store: VolumeStore) -> None:
    names = [row.name for _, rows in full_store.shards() for row in rows]
    assert names == [f"cell {index}.tif" for index in range(7)]
    assert [len(volumes) for volumes, _ in full_store.shards()] == [3, 3, 1]


def test_volume_statistics_are_those_of_the_samples(full_store: VolumeStore) -> None:
    counts = (full_store.read(4) >= 128).sum(axis=(1, 2, 3))
    row = full_store.cells["cell 4.tif"]
    assert row.volume_voxels_mean == pytest.approx(counts.mean())
    assert row.volume_voxels_sd == pytest.approx(counts.std(ddof=1))


def test_one_sample_has_no_standard_deviation(tmp_path: Path, settings: dict[str, Any], fill: Fill) -> None:
    store = create_or_resume(tmp_path / "one.zarr", **{**settings, "num_samples": 1})
    fill(store)
    assert store.cells[0].volume_voxels_sd is None


def test_failed_cell_is_not_read_as_an_empty_shape(tmp_path: Path, settings: dict[str, Any]) -> None:
    store = create_or_resume(tmp_path / "failed.zarr", **settings)
    rows = [CellRow(name, status="failed: all-zero mask") for name in store.cells.names.of_shard(0)]
    store.write_shard(0, np.zeros(store.grid.volume_shape(0), np.uint8), rows)
    assert not shard_file(store.path, 0).exists()
    assert store.pending_shards() == [1, 2]
    assert store.pending_shards(retry_failed=True) == [0, 1, 2]
    with pytest.raises(
        StoreError, match=r"'cell 1.tif' has no volume, its status is 'failed: all-zero mask'"
    ):
        store.read(1)


def test_pending_cell_says_so(tmp_path: Path, settings: dict[str, Any]) -> None:
    store = create_or_resume(tmp_path / "pending.zarr", **settings)
    with pytest.raises(StoreError, match="its status is 'pending'"):
        store.read("cell 0.tif")


@pytest.mark.parametrize("cell", ["cell 7.tif", "ell 1.tif", "cell 1.ti", "", "7", "9" * 5000, 7, -1])
def test_unknown_cell(full_store: VolumeStore, cell: str | int) -> None:
    with pytest.raises(StoreError, match="has no cell"):
        full_store.read(cell)


def test_digits_are_a_name_first_and_an_index_second(tmp_path: Path, settings: dict[str, Any]) -> None:
    store = create_or_resume(tmp_path / "out.zarr", **{**settings, "cells": [*"654abc", "0"]})
    assert store.cells.index("6") == 0
    assert store.cells.index("0") == 6
    assert store.cells.index("3") == 3


def test_unknown_sample(full_store: VolumeStore) -> None:
    with pytest.raises(StoreError, match="has no sample 2: it holds 0 to 1"):
        full_store.read(0, sample=2)


def test_writer_refuses_what_is_not_this_shard(tmp_path: Path, settings: dict[str, Any]) -> None:
    store = create_or_resume(tmp_path / "out.zarr", **settings)
    volumes = np.zeros(store.grid.volume_shape(0), np.uint8)
    rows = [CellRow(name) for name in store.cells.names.of_shard(0)]
    with pytest.raises(ValueError, match="takes volumes"):
        store.write_shard(0, volumes[:2], rows)
    with pytest.raises(ValueError, match="takes volumes"):
        store.write_shard(0, volumes.astype(np.float32), rows)
    with pytest.raises(ValueError, match="must be those of"):
        store.write_shard(0, volumes, rows[::-1])
    with pytest.raises(IndexError, match="shard 3 of a store with 3"):
        store.write_shard(3, volumes, rows)


def test_full_disk_says_what_is_needed_and_keeps_the_finished(
    tmp_path: Path, settings: dict[str, Any], fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = create_or_resume(tmp_path / "out.zarr", **settings)
    fill(store, 0)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(
            StoreError, match=r"disk is full at shard 1: .* MB are free, the 2 shards still to do"
        ):
            fill(store, 1)
        with pytest.raises(
            StoreError, match=r"cannot write the table of cells: No space .* finished is kept"
        ):
            store.finish()
    assert [*store.path.rglob("*.partial")] == []
    assert open_store(store.path).pending_shards() == [1, 2]
    fill(store)
    assert store.finish().done == 7


def test_read_only_store(full_store: VolumeStore, fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(
        StoreError, match=r"cannot write shard 0: Read-only file system. Choose an output folder"
    ):
        fill(full_store, 0)


def _seconds(action: Callable[[], object]) -> float:
    """The fastest of a few runs: what the work itself costs."""
    times = []
    for _ in range(7):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def test_opening_a_huge_store_costs_what_a_small_one_costs(
    tmp_path: Path, settings: dict[str, Any], fill: Fill
) -> None:
    stores = []
    for num_cells in (100, 100_000):
        names = [f"folder/cell {index:06d}.tif" for index in range(num_cells)]
        arguments = {**settings, "num_cells": num_cells, "cells": names, "shard_cells": 32}
        store = create_or_resume(tmp_path / f"{num_cells}.zarr", **arguments)
        fill(store, store.grid.num_shards - 1)
        stores.append((store.path, names[-1]))

    def open_and_read(path: Path, name: str) -> None:
        open_store(path).read(name, sample=0)

    small, huge = (_seconds(lambda store=store: open_and_read(*store)) for store in stores)
    assert huge < 4 * small


def test_a_store_that_was_replaced_meanwhile_is_not_written_into(
    tmp_path: Path, settings: dict[str, Any], fill: Fill
) -> None:
    first = create_or_resume(tmp_path / "out.zarr", **settings)
    fill(first, 0)
    other = {**settings, "configuration": {"seed": 4}, "overwrite": True}
    second = create_or_resume(tmp_path / "out.zarr", **other)
    with pytest.raises(StoreError, match="was replaced by a store of another run"):
        fill(first, 1)
    assert second.pending_shards() == [0, 1, 2]
    assert not shard_file(second.path, 1).exists()


def test_a_store_that_was_removed_meanwhile_is_not_written_into(
    tmp_path: Path, settings: dict[str, Any], fill: Fill
) -> None:
    store = create_or_resume(tmp_path / "out.zarr", **settings)
    (store.path / "zarr.json").rename(tmp_path / "elsewhere.json")
    with pytest.raises(StoreError, match=r"has no zarr\.json"):
        fill(store, 1)
    assert not shard_file(store.path, 1).exists()


def test_an_interrupted_shard_never_replaces_a_finished_one(full_store: VolumeStore) -> None:
    before = full_store.read_shard(0)[0]
    names = full_store.cells.names.of_shard(0)
    rows = [CellRow(names[0]), *(CellRow(name, status="pending") for name in names[1:])]
    full_store.write_shard(0, np.zeros(full_store.grid.volume_shape(0), np.uint8), rows)
    assert full_store.pending_shards() == []
    assert np.array_equal(full_store.read_shard(0)[0], before)
