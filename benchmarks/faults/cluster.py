"""Faults of a cluster: a worker that hangs, one that is frozen, a scheduler that is started anew.

python -m benchmarks.faults.cluster --trials 5
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.faults.giver import SAMPLES, SEED
from benchmarks.faults.harness import Bench, bench, contents, what_is_lost
from benchmarks.faults.trials import repeated
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.scale.cluster import ClusterOptions, reconstruct_on_cluster
from dispr_cli.scale.shards import Job
from dispr_cli.shape.unmeshed_area import unmeshed_area
from tests.scripted_method import ScriptedMethod, load_scripted

SECONDS_PER_CELL = 0.2
SCHEDULER = (sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard", "--host", "127.0.0.1")
WORKER = (
    *(sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--memory-limit", "0"),
    *("--no-dashboard", "--host", "127.0.0.1", "--death-timeout", "20"),
)


class Cluster:
    """A scheduler and two workers as processes of their own, as on a real cluster."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        # A worker that is frozen gives no sign of life; the default patience of five minutes is long.
        self.environment = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "15s"}
        self.scheduler = self._start(*SCHEDULER, "--port", str(self.port))
        self.workers = [self._worker() for _ in range(2)]

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        null = subprocess.DEVNULL
        return subprocess.Popen(
            command, env=self.environment, start_new_session=True, stdout=null, stderr=null
        )

    def _worker(self) -> subprocess.Popen[bytes]:
        return self._start(*WORKER, self.address)

    def restart_scheduler(self) -> None:
        """Kill -9 the scheduler, start another at the same address, and workers for it."""
        _end(self.scheduler)
        for worker in self.workers:
            _end(worker)
        self.scheduler = self._start(*SCHEDULER, "--port", str(self.port))
        self.workers = [self._worker() for _ in range(2)]

    def freeze_a_worker(self) -> None:
        """Stop a worker with all its processes, as a machine that hangs."""
        os.killpg(self.workers[0].pid, signal.SIGSTOP)

    def replace_the_frozen(self) -> None:
        """Start another worker in its place."""
        _end(self.workers[0])
        self.workers[0] = self._worker()

    def end(self) -> None:
        """End everything."""
        for process in (*self.workers, self.scheduler):
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def running() -> Iterator[Cluster]:
    """Start a cluster for a block."""
    cluster = Cluster()
    try:
        yield cluster
    finally:
        cluster.end()


def give(place: Bench, out: Path, address: str, timeout: float, **method: object) -> None:
    """Share a run out, to its end."""
    load = partial(load_scripted, seconds_per_cell=SECONDS_PER_CELL, **method)
    options = ClusterOptions(address, shard_timeout=timeout, threads=1)
    reconstruct_on_cluster(
        place.plan, out, load, Job(InputSettings(), SEED, 4, area=unmeshed_area), SAMPLES, options
    )


def hanging(place: Bench, out: Path, cluster: Cluster, chance: random.Random) -> str:
    """Let a worker hang in the middle of a shard."""
    marker = out.with_suffix(".hang")
    marker.touch()
    give(place, out, cluster.address, 8.0, hangs_if=marker)
    return "never" if marker.exists() else "ended itself"


def frozen(place: Bench, out: Path, cluster: Cluster, chance: random.Random) -> str:
    """Freeze a worker at a random moment."""
    timer = threading.Timer(chance.uniform(0.5, 4.0), cluster.freeze_a_worker)
    timer.start()
    give(place, out, cluster.address, 600.0)
    timer.join()
    cluster.replace_the_frozen()
    return "frozen"


def scheduler(place: Bench, out: Path, cluster: Cluster, chance: random.Random) -> str:
    """Kill -9 the scheduler at a random moment and start it anew."""
    timer = threading.Timer(chance.uniform(0.5, 4.0), cluster.restart_scheduler)
    timer.start()
    give(place, out, cluster.address, 600.0)
    timer.join()
    return "restarted"


Trial = Callable[[Bench, Path, Cluster, random.Random], str]
FAULTS: dict[str, tuple[str, Trial]] = {
    "dask_hanging": ("a Dask worker hangs and ends itself after --shard-timeout", hanging),
    "dask_frozen": ("a Dask worker is frozen (SIGSTOP)", frozen),
    "dask_scheduler": ("the Dask scheduler is killed and started anew", scheduler),
}


def main() -> None:
    """Run the trials and keep their results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=FAULTS)
    given = parser.parse_args()
    with bench() as place, running() as cluster:
        wanted = contents(
            place.run(place.folder / "calm.zarr", method=ScriptedMethod(SECONDS_PER_CELL / 100))
        )
        for name, (fault, trial) in FAULTS.items():
            if given.only not in (None, name):
                continue

            def once(
                number: int, chance: random.Random, name: str = name, trial: Trial = trial
            ) -> tuple[list[str], str | None]:
                out, start = place.folder / f"{name}-{number}.zarr", time.monotonic()
                moment, lost = trial(place, out, cluster, chance), what_is_lost(out, wanted)
                print(f"{name} {number}: {time.monotonic() - start:.0f} s", flush=True)
                shutil.rmtree(out, ignore_errors=True)
                return [moment], lost

            repeated(name, fault, given.trials, given.seed, once)


if __name__ == "__main__":
    main()
