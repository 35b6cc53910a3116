"""Kill -9 at random moments: processes of parts, workers of a cluster, and the process that gives shards out.

python -m benchmarks.faults.kill --trials 100
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.faults.giver import give
from benchmarks.faults.harness import (
    Bench,
    bench,
    contents,
    ended_well,
    in_a_process,
    kill_at,
    record,
    what_is_lost,
)
from dispr_cli.scale.parts import Part
from dispr_cli.volumes.cells import Progress
from dispr_cli.volumes.store import open_store
from tests.stub_method import StubMethod

SECONDS_PER_CELL = 0.05


def of_parts(place: Bench, trials: int, chance: random.Random) -> None:
    """Kill parts of one run, each at a random moment, then start them again."""
    calm = place.run(place.folder / "calm.zarr")
    wanted, losses, moments = contents(calm), [], Counter[str]()
    seconds = _seconds_of(lambda: place.run(place.folder / "timed.zarr"))
    for trial in range(trials):
        out, count = place.folder / f"{trial}.zarr", chance.randint(1, 3)
        if chance.random() < 0.75:
            place.create(out, shards=12)
        parts = [Part(index, count) for index in range(1, count + 1)]
        for _ in range(chance.randint(1, 2)):
            ends = sorted(time.monotonic() + chance.uniform(0.0, seconds) for _ in parts)
            running = [in_a_process(partial(place.run, out, part)) for part in parts]
            for process, end in zip(running, ends, strict=True):
                killed = kill_at(process, end)
                moments[_moment(out) if killed else "after the end"] += 1
        if not all(ended_well(in_a_process(partial(place.run, out, part))) for part in parts):
            losses.append(f"trial {trial}: a part did not end well after the resume")
        elif lost := what_is_lost(out, wanted):
            losses.append(f"trial {trial}: {lost}")
        shutil.rmtree(out, ignore_errors=True)
    record("kill_parts", "kill -9 of 1 to 3 parts at random moments, then resumed", trials, losses, **moments)


def of_a_cluster(place: Bench, trials: int, chance: random.Random) -> None:
    """Kill a worker, or the process that gives shards out, at a random moment of a run with Dask."""
    import distributed

    calm = place.run(place.folder / "calm-dask.zarr", method=StubMethod(SECONDS_PER_CELL))
    wanted, losses, victims = contents(calm), [], Counter[str]()
    import dask

    dask.config.set({"distributed.deploy.lost-worker-timeout": "2s"})
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL, memory_limit=0,
    ) as cluster:  # fmt: skip
        address = cluster.scheduler_address

        def run(out: Path) -> Progress:
            return give(place.source, out, address, SECONDS_PER_CELL)

        seconds = _seconds_of(lambda: run(place.folder / "timed-dask.zarr"))
        for trial in range(trials):
            out, victim = place.folder / f"{trial}.zarr", chance.choice(("worker", "worker", "giver"))
            moment = chance.uniform(0.0, seconds)
            if victim == "giver":
                killed = _killed_giver(place, out, address, moment)
            else:
                killed = _kill_a_worker_during(cluster, lambda out=out: run(out), moment, chance)
            cluster.scale(2)
            victims[victim if killed else f"{victim}, after the end"] += 1
            if run(out).pending:
                losses.append(f"trial {trial}: cells are pending after the resume")
            elif lost := what_is_lost(out, wanted):
                losses.append(f"trial {trial}: {lost}")
            shutil.rmtree(out, ignore_errors=True)
    record("kill_dask", "kill -9 of a Dask worker or of the giving process", trials, losses, **victims)


def _killed_giver(place: Bench, out: Path, address: str, seconds: float) -> bool:
    arguments = [str(place.source), str(out), address, str(SECONDS_PER_CELL)]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.faults.giver", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as giver:
        assert giver.stdout is not None
        giver.stdout.readline()
        time.sleep(seconds)
        killed = giver.poll() is None
        giver.kill()
    return killed


def _kill_a_worker_during(
    cluster: Any, run: Callable[[], object], seconds: float, chance: random.Random
) -> bool:
    hit = threading.Event()

    def kill() -> None:
        # As a cluster's manager does: what is gone for good, killed while it started, is replaced.
        cluster.scale(2)
        processes = [worker.process for worker in cluster.workers.values() if worker.process is not None]
        chosen = chance.choice(processes) if processes else None
        if chosen is not None and chosen.pid is not None:
            os.kill(chosen.pid, signal.SIGKILL)
            hit.set()

    timer = threading.Timer(seconds, kill)
    timer.start()
    run()
    timer.cancel()
    return hit.is_set()


def _moment(out: Path) -> str:
    """How far the store was."""
    if not out.exists():
        return "before the store was there"
    store = open_store(out)
    pending = len(store.pending_shards())
    return "before the first shard" if pending == store.grid.num_shards else "between shards"


def _seconds_of(run: Callable[[], object]) -> float:
    start = time.monotonic()
    run()
    return time.monotonic() - start


def main() -> None:
    """Run the trials and keep their results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("parts", "dask"))
    given = parser.parse_args()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with bench() as place:
        if given.only != "dask":
            of_parts(place, given.trials, random.Random(given.seed))
        if given.only != "parts":
            of_a_cluster(place, given.trials, random.Random(given.seed))


if __name__ == "__main__":
    main()
