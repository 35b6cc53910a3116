"""Memory, time per cell and open files of runs of 10, 1,000 and 100,000 cells, from first to last.

python -m benchmarks.scale.memory

Each run is the command as a user gives it, one thread, one sample of one step, a tiny network: what is
around the network shows, and grows if anything does. Peaks differ by a few per cent from run to run, so
short runs are repeated and the one with the median peak stands. A script that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.scale.cells import PLACE, many_cells, tiny_weights
from benchmarks.scale.machine import write_result

REPEATS, REPEATED = 3, 1_000
"""How often runs of so many cells at most are done."""

SECONDS = 5.0
"""Between two looks at a run; shorter at its beginning."""


@dataclass(frozen=True, slots=True)
class Look:
    """A run at one moment.

    Attributes
    ----------
    seconds, cpu_seconds
        Since its start, by the clock and of the processor.
    cells
        In shards that are finished.
    memory_mb
        Resident memory.
    files, threads
        Open files, threads.
    """

    seconds: float
    cpu_seconds: float
    cells: int
    memory_mb: float
    files: int
    threads: int


def look_at(process: int, out: Path, since: float, shard_cells: int) -> Look | None:
    """Look at a running process; None if it has ended."""
    place = Path(f"/proc/{process}")
    try:
        pages = int((place / "statm").read_text().split()[1])
        fields = (place / "stat").read_text().rpartition(")")[2].split()
        files = sum(1 for _ in (place / "fd").iterdir())
    except (OSError, IndexError):
        return None
    # proc(5): utime and stime are fields 14 and 15, num_threads is 20; field 3 is the first behind the name.
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    memory = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    rows = out / "dispr_rows"
    shards = sum(1 for _ in rows.glob("*.json")) if rows.is_dir() else 0
    elapsed = round(time.monotonic() - since, 1)
    return Look(elapsed, round(cpu, 2), shards * shard_cells, round(memory, 1), files, int(fields[17]))


def run(count: int) -> dict[str, Any]:
    """Reconstruct so many cells, looking at the process now and then."""
    shard_cells = 64
    out, source, weights = PLACE / f"memory_{count}.zarr", many_cells(count), tiny_weights()
    begun = out.exists()
    command = [sys.executable, "-m", "dispr_cli", "reconstruct", str(source), str(out)]
    command += ["--weights", str(weights), "--steps", "1", "--samples", "1", "--threads", "1", "--quiet"]
    command += ["--device", "cpu", "--precision", "fp32", "--cells-at-once", "5"]
    started, looks = time.monotonic(), []
    # Without torch's threads of its own, which count in memory.
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        found = look_at(process.pid, out, started, shard_cells)
        if found is not None and found.memory_mb > 0:
            looks.append(found)
        time.sleep(min(SECONDS, 0.05 + (time.monotonic() - started) / 50))
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"the run of {count} cells ended with {process.returncode}")
    shutil.rmtree(out)
    working = [look for look in looks if look.cells]
    several = bool(working) and working[-1].cells > shard_cells
    return {
        "cells": count,
        "resumed": begun,
        "seconds": round(time.monotonic() - started, 1),
        "peak_memory_mb": round(usage.ru_maxrss * 1024 / 1e6, 1),
        # A run of one shard tells nothing of a cell.
        "cpu_ms_per_cell": per_cell(working[0], working[-1]) if several else None,
        "cpu_ms_per_cell_of_tenths": tenths(working),
        "most_open_files": max((look.files for look in looks), default=0),
        "samples": [asdict(look) for look in looks[:: max(1, len(looks) // 300)]],
    }


def per_cell(first: Look, last: Look) -> float:
    """Milliseconds of the processor for each cell between two looks."""
    return round((last.cpu_seconds - first.cpu_seconds) / max(1, last.cells - first.cells) * 1e3, 2)


def tenths(looks: list[Look]) -> list[float]:
    """Milliseconds of the processor for each cell, in ten stretches of a run; empty for short ones."""
    if len(looks) < 100:
        return []
    ends = [looks[round(i * (len(looks) - 1) / 10)] for i in range(11)]
    return [per_cell(first, last) for first, last in pairwise(ends)]


def main() -> None:
    """Run what is not done yet, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[10, 1_000, 100_000])
    given = parser.parse_args()
    PLACE.mkdir(parents=True, exist_ok=True)
    runs = []
    for count in given.cells:
        kept = PLACE / f"memory_{count}.json"
        if not kept.exists():
            found = [run(count) for _ in range(REPEATS if count <= REPEATED else 1)]
            found.sort(key=lambda one: one["peak_memory_mb"])
            kept.write_text(json.dumps(found[len(found) // 2]))
        runs.append(json.loads(kept.read_text()))
    peaks = [found["peak_memory_mb"] for found in runs]
    command = "python -m benchmarks.scale.memory"
    growth = round(max(peaks) / min(peaks) - 1, 3)
    write_result("scale_memory", command, largest_over_smallest_peak=growth, runs=runs)
    for count in given.cells:
        (PLACE / f"memory_{count}.json").unlink()


if __name__ == "__main__":
    main()
