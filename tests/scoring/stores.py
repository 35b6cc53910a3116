"""Small stores of balls and folders of their truths, for tests of evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.rows import CellRow
from dispr_cli.volumes.store import VolumeStore

RADII = {"A_round000001": 8.0, "A_round000002": 9.0, "B_large000003": 10.0, "B_large000004": 11.0}
"""Radius of each cell's truth, in voxels."""


def ball(
    radius: float,
    centre: tuple[float, float, float] = (31.5, 31.5, 31.5),
    shape: tuple[int, int, int] = (64, 64, 64),
    sides: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> NDArray[np.uint8]:
    """A ball whose border falls off over two voxels, so that its surface lies at 127.5."""
    zyx = (np.stack(np.indices(shape), axis=-1) - np.asarray(centre)) * np.asarray(sides)
    distance = np.linalg.norm(zyx, axis=-1)
    return np.clip(127.5 + 63.75 * (radius - distance) / min(sides), 0, 255).round().astype(np.uint8)


def make_store(
    path: Path,
    radii: Mapping[str, Sequence[float]],
    *,
    method: str = "balls",
    voxel_size_um: float | None = 0.172,
    statuses: Mapping[str, str] | None = None,
    balance: int | None = None,
    learned: Mapping[str, bool | None] | None = None,
) -> VolumeStore:
    """A store of balls: for each cell the radii of its samples; a radius of 0 is an empty shape.

    Cells are new to the weights that are said to have drawn them, unless `learned` says otherwise.
    """
    samples = len(next(iter(radii.values())))
    store = create_or_resume(
        path,
        num_cells=len(radii),
        num_samples=samples,
        voxel_size_um=voxel_size_um,
        configuration={"method": method} | ({} if balance is None else {"balance": balance}),
        cells=list(radii),
        shard_cells=len(radii),
    )
    statuses = statuses or {}
    rows = [
        CellRow(
            name,
            bounding_box=(10, 10, 50, 50),
            source_shape=(60, 60),
            voxel_size_um=voxel_size_um,
            status=statuses.get(name, "done"),
            learned=(learned or {}).get(name, False),
        )
        for name in radii
    ]
    volumes = np.zeros((len(radii), samples, 64, 64, 64), np.uint8)
    for index, (name, sizes) in enumerate(radii.items()):
        if statuses.get(name, "done") == "done":
            volumes[index] = [ball(size) if size else ball(0) * 0 for size in sizes]
    store.write_shard(0, volumes, rows)
    store.finish()
    return store


def write_truths(folder: Path, radii: Mapping[str, float] = RADII) -> Path:
    """A folder with ``obj/`` that holds one ball for each cell."""
    (folder / "obj").mkdir(parents=True, exist_ok=True)
    for name, radius in radii.items():
        tifffile.imwrite(folder / "obj" / f"{name}.tif", ball(radius))
    return folder


def around(*offsets: float) -> dict[str, list[float]]:
    """Samples of every cell whose radii differ from the truth's by the offsets."""
    return {name: [radius + offset for offset in offsets] for name, radius in RADII.items()}
