"""How long it takes to open a store and read one cell, and to plan a folder of many files, at several sizes.

python -m benchmarks.scale.store
"""

from __future__ import annotations

import random
import shutil
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.scale.cells import PLACE, many_cells
from benchmarks.scale.machine import write_result
from dispr_cli.config import GRID
from dispr_cli.inputs.plan import plan_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.layout import row_file, shard_file
from dispr_cli.volumes.rows import DONE, CellRow, write_rows
from dispr_cli.volumes.store import open_store

SIZES = (1_000, 10_000, 100_000)
READS = 200
SAMPLES = 5


def filled(count: int) -> Path:
    """Return a finished store of so many cells; made only once."""
    path = PLACE / f"store_{count}.zarr"
    names = [f"cell_{number:06d}" for number in range(count)]
    store = create_or_resume(
        path,
        num_cells=count,
        num_samples=SAMPLES,
        voxel_size_um=0.2,
        configuration={"method": "none"},
        cells=names,
    )
    z, y, x = np.indices((GRID, GRID, GRID)) - GRID / 2
    balls = [(200.0 - 20 * np.sqrt(x**2 + y**2 + (1 + s / 8) * z**2)).clip(0) for s in range(SAMPLES)]
    cell = np.stack(balls).astype(np.uint8)
    files: dict[int, tuple[bytes, CellRow]] = {}
    for shard in store.pending_shards():
        draft = store.draft(shard)
        done = [replace(row, source="a.tif", voxel_size_um=0.2, status=DONE) for row in draft.rows]
        if len(done) not in files:
            for place, row in enumerate(done):
                draft.put(place, row, cell)
            files[len(done)] = draft.encoded(), draft.rows[0]
        # All cells look the same: what is compressed once is the file of every shard of as many cells.
        content, first = files[len(done)]
        shard_file(path, shard).parent.mkdir(parents=True, exist_ok=True)
        shard_file(path, shard).write_bytes(content)
        write_rows(row_file(path, shard), [replace(first, name=row.name) for row in done], content)
    assert store.is_complete()
    return path


def times_of_reading(path: Path, count: int) -> dict[str, float]:
    """Milliseconds to open a store and read a cell by its name, at random places, each time anew."""
    chance, times, worked = random.Random(0), [], []
    for _ in range(READS):
        name = f"cell_{chance.randrange(count):06d}"
        start, cpu = time.perf_counter(), time.process_time()
        volumes = open_store(path).read(name)
        times.append(1e3 * (time.perf_counter() - start))
        worked.append(1e3 * (time.process_time() - cpu))
        assert volumes.shape == (SAMPLES, GRID, GRID, GRID)
    return {
        "median_ms": round(statistics.median(times), 2),
        "p95_ms": round(sorted(times)[int(0.95 * READS)], 2),
        "cpu_median_ms": round(statistics.median(worked), 2),
    }


def time_of_planning(count: int) -> dict[str, float]:
    """Seconds until a folder of images and masks is planned, and what of it the processor worked."""
    source = many_cells(count)
    start, cpu = time.perf_counter(), time.process_time()
    plan = plan_cells(source, InputSettings())
    assert len(plan.cells) == count
    return {
        "seconds": round(time.perf_counter() - start, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
    }


def main() -> None:
    """Measure every size."""
    found = []
    for count in SIZES:
        path = filled(count)
        found.append({"cells": count, "read_one_cell": times_of_reading(path, count)})
        found[-1] |= {"plan": {"files": count, **time_of_planning(count // 2)}}
        print(found[-1], flush=True)
    write_result("scale_store", "python -m benchmarks.scale.store", samples=SAMPLES, reads=READS, sizes=found)
    for count in SIZES:
        shutil.rmtree(PLACE / f"store_{count}.zarr")


if __name__ == "__main__":
    main()
