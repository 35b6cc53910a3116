"""Time `dispr features`: shapes a second with one and two threads, and where the time goes.

    python -m benchmarks.feature_speed ../shared/data/rbc --store STUDY/shapes/fold0.zarr

Each round measures all true shapes (and their images and masks) and all shapes of the store, from files to a
finished table, with one thread and with two, one after the other; the numbers are medians over rounds. Wall
time tells what the machine gave at that time, CPU time what the work is: `per_second_of_two_cores` is two
seconds of CPU time divided by that of a shape. The families are timed alone, on true shapes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from dispr_cli.inputs.settings import InputSettings
from dispr_cli.inputs.truth import read_truth
from dispr_cli.morphology.measure import measure_to_table
from dispr_cli.morphology.sources import find_shapes
from dispr_cli.shape.features.prepared import PreparedShape
from dispr_cli.shape.features.registry import FAMILIES

THREADS = (1, 2)
DERIVED = ("filled", "inside", "occupancy", "surface", "hull", "voxel_surface", "voxel_hull")
VOXEL_SIZE_UM = 0.172
EVERY = 6


class Silence:
    """Hears nothing of it."""

    def started(self, total: int, finished: int) -> None:
        """Take the numbers of shapes."""

    def measured(self, cell: str, problem: str | None) -> None:
        """Take one shape."""


def timed_run(source: Path, threads: int) -> dict[str, float]:
    """Measure a source from files to a table; seconds of wall and CPU time for each shape."""
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        shapes = find_shapes(source, InputSettings(pixel_size_um=VOXEL_SIZE_UM))
        made = measure_to_table(shapes, Path(folder) / "t.parquet", threads=threads, events=Silence())
        spent = time.perf_counter() - wall, time.process_time() - cpu
    if made.failed:
        raise SystemExit(f"{source}: {made.failed} of {made.shapes} shapes could not be measured")
    return {"shapes": made.shapes, "wall": spent[0] / made.shapes, "cpu": spent[1] / made.shapes}


def timed_families(cells: Path) -> dict[str, float]:
    """Milliseconds of CPU time of each family and of what several share, medians over shapes."""
    spent: dict[str, list[float]] = {}

    def timed(name: str, work: Any) -> None:
        start = time.thread_time()
        work()
        spent.setdefault(name, []).append(1e3 * (time.thread_time() - start))

    for path in sorted((cells / "obj").glob("*.tif"))[::EVERY]:
        shape = PreparedShape(read_truth(path), VOXEL_SIZE_UM)
        for name in DERIVED:
            timed(f"shared: {name}", lambda name=name, shape=shape: getattr(shape, name))
        for family in FAMILIES:
            timed(family.title, lambda family=family, shape=shape: family.measure(shape))
    found = {name: float(np.median(times)) for name, times in spent.items()}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def main() -> None:
    """Time, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path)
    parser.add_argument("--store", type=Path, help="store of predicted shapes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/feature_speed.json"))
    args = parser.parse_args()
    sources = {"true shapes, with image and mask": args.cells}
    if args.store:
        sources["predicted shapes of a store"] = args.store
    result: dict[str, Any] = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "rounds": args.rounds,
    }
    for name, source in sources.items():
        timed_run(source, 1)  # compiles what is not compiled yet
        loads, rounds = [], []
        for _ in range(args.rounds):
            loads.append(os.getloadavg()[0])
            rounds.append({threads: timed_run(source, threads) for threads in THREADS})
        cpu = float(np.median([run["cpu"] for found in rounds for run in found.values()]))
        wall = {count: float(np.median([found[count]["wall"] for found in rounds])) for count in THREADS}
        result[name] = {
            "shapes": rounds[0][1]["shapes"],
            "cpu_ms_per_shape": 1e3 * cpu,
            "per_second_of_two_cores": 2 / cpu,
            "per_second": {str(count): 1 / seconds for count, seconds in wall.items()},
            "two_threads_over_one": float(np.median([f[1]["wall"] / f[2]["wall"] for f in rounds])),
            "load_of_the_machine": loads,
        }
    result["cpu_ms_by_family"] = timed_families(args.cells)
    print(json.dumps(result, indent=1))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
