"""Small stores with blobs in them, built the way the pipeline builds real ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dispr_cli.config import GRID
from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.rows import CellRow
from dispr_cli.volumes.store import VolumeStore


def ball(radius: float, centre: tuple[float, float, float] = (32, 32, 32)) -> NDArray[np.uint8]:
    """A ball whose border falls off over two voxels, so that its surface lies at 127.5."""
    zyx = np.stack(np.indices((GRID, GRID, GRID)), axis=-1)
    distance = np.linalg.norm(zyx - np.asarray(centre), axis=-1)
    return np.clip(127.5 + 63.75 * (radius - distance), 0, 255).round().astype(np.uint8)


@functools.cache
def cell_volumes(index: int, num_samples: int) -> NDArray[np.uint8]:
    """The samples of one cell: balls that differ between cells and samples."""
    return np.stack([ball(8 + index % 5 + 2 * sample, (30, 32, 33)) for sample in range(num_samples)])


@pytest.fixture
def settings() -> dict[str, Any]:
    """Arguments of a store of 7 cells x 2 samples in 3 shards."""
    return {
        "num_cells": 7,
        "num_samples": 2,
        "voxel_size_um": 0.25,
        "configuration": {"seed": 3, "sampler": {"num_steps": 6, "name": "euler"}},
        "cells": [f"cell {index}.tif" for index in range(7)],
        "provenance": {"version": "0.1.0"},
        "shard_cells": 3,
    }


@pytest.fixture
def fill() -> Callable[..., None]:
    """Write shards of a store: all that are pending, or those given."""

    def fill_shards(store: VolumeStore, *shards: int) -> None:
        for shard in shards or store.pending_shards():
            cells = store.grid.cells_of(shard)
            volumes = np.stack([cell_volumes(cell, store.num_samples) for cell in cells])
            rows = [
                CellRow(
                    name, source="a/b.tif", bounding_box=(1, 2, 30, 40), voxel_size_um=store.voxel_size_um
                )
                for name in store.cells.names.of_shard(shard)
            ]
            store.write_shard(shard, volumes, rows)

    return fill_shards


@pytest.fixture
def full_store(tmp_path: Path, settings: dict[str, Any], fill: Callable[..., None]) -> VolumeStore:
    """A finished store."""
    store = create_or_resume(tmp_path / "full.zarr", **settings)
    fill(store)
    store.finish()
    return store
