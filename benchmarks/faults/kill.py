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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    what_is_lost,
)
from benchmarks.faults.trials import Trial, repeated
from dispr_cli.scale.parts import Part
from dispr_cli.volumes.cells import Progress
from dispr_cli.volumes.store import open_store
from tests.scripted_method import ScriptedMethod

SECONDS_PER_CELL = 0.05
TOO_LATE = "had ended before"


def of_parts(place: Bench) -> Trial:
    """Kill parts of one run, each at a random moment, then start them again."""
    wanted = contents(place.run(place.folder / "calm.zarr"))
    seconds = _seconds_of(lambda: place.run(place.folder / "timed.zarr"))

    def trial(number: int, chance: random.Random) -> tuple[list[str], str | None]:
        out, count = place.folder / f"{number}" / "out.zarr", chance.randint(1, 3)
        moments: list[str] = []
        parts, span = [Part(index, count) for index in range(1, count + 1)], seconds / count
        while not any(moment != TOO_LATE for moment in moments):
            shutil.rmtree(out, ignore_errors=True)
            if chance.random() < 0.75:
                place.create(out, shards=12)
            for _ in range(chance.randint(1, 2)):
                ends = sorted(time.monotonic() + chance.uniform(0.0, span) for _ in parts)
                running = [in_a_process(partial(place.run, out, part)) for part in parts]
                for process, end in zip(running, ends, strict=True):
                    killed = kill_at(process, end)
                    moments.append(f"killed {_moment(out)}" if killed else TOO_LATE)
            span /= 2  # A machine that is busy at one time and idle at another ends sooner than it was timed.
        well = all(ended_well(in_a_process(partial(place.run, out, part))) for part in parts)
        lost = what_is_lost(out, wanted) if well else "a part did not end well after the resume"
        shutil.rmtree(out.parent, ignore_errors=True)
        return moments, lost

    return trial


@contextmanager
def of_a_cluster(place: Bench) -> Iterator[Trial]:
    """Kill a worker, or the process that gives shards out, at a random moment of a run with Dask."""
    import dask
    import distributed

    wanted = contents(place.run(place.folder / "calm-dask.zarr", method=ScriptedMethod(SECONDS_PER_CELL)))
    dask.config.set({"distributed.deploy.lost-worker-timeout": "2s"})
    local_cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL, memory_limit=0,
    )  # fmt: skip
    with local_cluster as cluster, _replaced(cluster):
        address = cluster.scheduler_address

        def run(out: Path) -> Progress:
            return give(place.source, out, address, SECONDS_PER_CELL)

        seconds = _seconds_of(lambda: run(place.folder / "timed-dask.zarr"))

        def trial(number: int, chance: random.Random) -> tuple[list[str], str | None]:
            out = place.folder / f"{number}" / "out.zarr"
            victim, span, moments = chance.choice(("worker", "worker", "giver")), seconds, list[str]()
            while f"killed a {victim}" not in moments:
                shutil.rmtree(out, ignore_errors=True)
                moment = chance.uniform(0.0, span)
                if victim == "giver":
                    killed = _killed_giver(place, out, address, moment)
                else:
                    killed = _kill_a_worker_during(cluster, lambda: run(out), moment, chance)
                moments.append(f"killed a {victim}" if killed else TOO_LATE)
                span /= 2  # As above.
            pending = run(out).pending
            lost = "cells are pending after the resume" if pending else what_is_lost(out, wanted)
            shutil.rmtree(out.parent, ignore_errors=True)
            return moments, lost

        yield trial


@contextmanager
def _replaced(cluster: Any, every: float = 1.0) -> Iterator[None]:
    """Replace workers that are gone for good, killed while they started, as a cluster's manager does."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(every):
            cluster.scale(2)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()


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
            fault = "kill -9 of 1 to 3 parts at random moments, then resumed"
            repeated("kill_parts", fault, given.trials, given.seed, of_parts(place))
        if given.only != "parts":
            fault = "kill -9 of a Dask worker or of the giving process, then resumed"
            with of_a_cluster(place) as trial:
                repeated("kill_dask", fault, given.trials, given.seed, trial)


if __name__ == "__main__":
    main()
