"""How much of 1 to 64 workers a cluster uses: a real Dask scheduler and our tasks, workers that sleep.

python -m benchmarks.scale.workers

Workers sleep as long as a network would compute and do everything else of a shard: reading cells,
compressing, writing. All of them share this machine's cores, so this is more overhead than on as many
machines. Two real processes with a real network, as two parts, are measured beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.scale.cells import PLACE, many_cells
from benchmarks.scale.machine import write_result
from dispr_cli.inputs.plan import plan_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.scale import shard_task
from dispr_cli.scale.cluster import ClusterOptions, reconstruct_on_cluster
from dispr_cli.scale.shards import Job
from tests.scripted_method import load_scripted

COUNTS = (1, 2, 4, 8, 16, 32, 64)
CELLS_PER_SHARD = 4
SHARDS_PER_WORKER = 4
"""As a new store on a cluster has."""


def on_workers(number: int, seconds_per_shard: float) -> dict[str, Any]:
    """Share four shards a worker out to so many workers, and compare with the time the workers sleep."""
    import distributed

    shards = SHARDS_PER_WORKER * number
    plan = plan_cells(many_cells(CELLS_PER_SHARD * shards))
    out = PLACE / f"workers_{number}.zarr"
    shutil.rmtree(out, ignore_errors=True)
    load = partial(load_scripted, seconds_per_cell=seconds_per_shard / CELLS_PER_SHARD)
    with distributed.LocalCluster(
        n_workers=number, threads_per_worker=1, processes=False, protocol="tcp", host="127.0.0.1",
        # One process holds all workers: Dask would hold its memory against each of them, and let them pause.
        dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL, memory_limit=0,
    ) as cluster:  # fmt: skip
        options = ClusterOptions(cluster.scheduler_address, shard_timeout=600.0, threads=1)
        events = _Started()
        store, progress = reconstruct_on_cluster(
            plan, out, load, Job(InputSettings(), 0, CELLS_PER_SHARD), 1, options, events=events
        )
        seconds = time.perf_counter() - events.at
    assert progress.done == len(plan.cells)
    assert store.grid.num_shards == shards, store.grid
    shutil.rmtree(out)
    slept = SHARDS_PER_WORKER * seconds_per_shard
    return {
        "workers": number,
        "shards": shards,
        "seconds": round(seconds, 2),
        "slept": slept,
        "efficiency": round(slept / seconds, 4),
        "overhead_per_shard_ms": round(1e3 * (seconds - slept) / SHARDS_PER_WORKER, 1),
    }


class _Started:
    """Takes the time when the workers begin; the scheduler is up and the store created."""

    at = 0.0

    def started(self, store: object, progress: object) -> None:
        self.at = time.perf_counter()

    def reconstructed(self, done: int, failed: object) -> None:
        pass


def two_processes(cells: int, repeats: int) -> dict[str, Any]:
    """Time one process of one thread, and two as two parts, side by side; medians."""
    source, ratios, ones = many_cells(cells), [], []
    for _ in range(repeats):
        one = _timed(source, [["--part", "1/1"]])
        two = _timed(source, [["--part", f"{part}/2"] for part in (1, 2)])
        ones.append(one)
        ratios.append(one / two)
    return {
        "cells": cells,
        "repeats": repeats,
        "one_process_seconds": round(statistics.median(ones), 1),
        "speed_of_two": round(statistics.median(ratios), 2),
        "speeds": [round(ratio, 2) for ratio in ratios],
    }


def _timed(source: Path, parts: list[list[str]]) -> float:
    out = PLACE / "parts.zarr"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "dispr_cli", "reconstruct", str(source), str(out), "--threads", "1"]
    command += ["--samples", "2", "--quiet", "--device", "cpu"]
    start = time.perf_counter()
    quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "OMP_NUM_THREADS": "1"}}
    running = [subprocess.Popen([*command, *part], **quiet) for part in parts]  # type: ignore[call-overload]
    assert [process.wait() for process in running] == [0] * len(parts)
    seconds = time.perf_counter() - start
    shutil.rmtree(out)
    return seconds


def main() -> None:
    """Measure every number of workers, and two processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds-per-shard", type=float, default=10.0)
    parser.add_argument("--workers", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--cells", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    # Workers of one process would wait for each other where a network serves one thread at a time.
    shard_task._one_at_a_time = contextlib.nullcontext()  # type: ignore[assignment]
    found = []
    for number in given.workers:
        found.append(on_workers(number, given.seconds_per_shard))
        print(found[-1], flush=True)
    write_result(
        "scale_workers",
        "python -m benchmarks.scale.workers",
        seconds_per_shard=given.seconds_per_shard,
        simulated=found,
        processes=two_processes(given.cells, given.repeats) if given.repeats else None,
    )


if __name__ == "__main__":
    main()
