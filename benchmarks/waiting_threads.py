"""How long OpenMP's threads should spin while they wait, on a machine that is quiet and on one that is not.

    python -m benchmarks.waiting_threads --out benchmarks/results/waiting_threads.json

Every setting is a process that has loaded the network and sleeps until its turn; in turns each reconstructs
the same synthetic cells, the order changing from round to round: first alone, if root asks for it before
all other work of the machine (real time); then beside as many processes as there are cores that do nothing
but count. GNU's OpenMP reads GOMP_SPINCOUNT when torch is imported, hence the processes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent / "results" / "waiting_threads.json"
SPINS = ("default", "20000", "10000", "5000", "2000", "0")
CELLS, SAMPLES = 2, 5

_RUNNER = """
import sys, time
import torch
from dispr_cli.inputs.phantoms import PHANTOM_CLASSES, generate_phantoms
from dispr_cli.inputs.phantoms.as_read import as_read
from dispr_cli.methods import load_denoiser
torch.set_num_threads(int(sys.argv[1]))
method = load_denoiser()
cells = [as_read(phantom) for phantom in generate_phantoms(int(sys.argv[2]), PHANTOM_CLASSES, seed=0)]
method.reconstruct(cells, int(sys.argv[3]), 0)
print("ready", flush=True)
for line in sys.stdin:
    started = time.perf_counter()
    method.reconstruct(cells, int(sys.argv[3]), 0)
    print(time.perf_counter() - started, flush=True)
"""


class Contestant:
    """A process that reconstructs cells when it is told to."""

    def __init__(self, spin: str, threads: int) -> None:
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))
        }
        if spin != "default":
            environment["GOMP_SPINCOUNT"] = spin
        command = [sys.executable, "-W", "ignore", "-c", _RUNNER, *map(str, (threads, CELLS, SAMPLES))]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self._read()

    def run(self) -> float:
        """Seconds of one turn."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self._read())

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit("a process ended before its turn")
        return line

    def end(self) -> None:
        """Close its input and wait for it to leave."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def set_scheduler(contestants: dict[str, Contestant], policy: int, priority: int) -> bool:
    """Have Linux schedule every thread of the contestants otherwise; False where it does not let us."""
    try:
        for contestant in contestants.values():
            for thread in Path(f"/proc/{contestant.process.pid}/task").iterdir():
                os.sched_setscheduler(int(thread.name), policy, os.sched_param(priority))
    except (PermissionError, FileNotFoundError):
        return False
    return True


@contextmanager
def crowd(count: int) -> Iterator[None]:
    """Keep ``count`` cores busy within the block."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(0.5)
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def measure(contestants: dict[str, Contestant], rounds: int) -> dict[str, Any]:
    """Seconds of every contestant, in turns, with the machine's load meanwhile."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    names, loads = list(contestants), [os.getloadavg()[0]]
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            seconds[name].append(contestants[name].run())
        loads.append(os.getloadavg()[0])
    spinning = seconds[names[0]]
    return {
        "load": [round(min(loads), 1), round(max(loads), 1)],
        "seconds": {
            name: {
                "median": round(statistics.median(taken), 3),
                "low": round(min(taken), 3),
                "high": round(max(taken), 3),
                "of_default": round(
                    statistics.median(a / b for a, b in zip(taken, spinning, strict=True)), 3
                ),
            }
            for name, taken in seconds.items()
        },
    }


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    with ExitStack() as stack:
        contestants: dict[str, Contestant] = {}
        for name, spin, threads in [
            *((f"{cores} threads, spin {spin}", spin, cores) for spin in SPINS),
            ("1 thread", "default", 1),
        ]:
            contestants[name] = Contestant(spin, threads)
            stack.callback(contestants[name].end)
        real_time = set_scheduler(contestants, os.SCHED_RR, 1)
        alone = measure(contestants, options.rounds)
        set_scheduler(contestants, os.SCHED_OTHER, 0)
        with crowd(cores):
            crowded = measure(contestants, options.rounds)
    result = {
        "command": "python -m benchmarks.waiting_threads",
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": cores},
        "cells": CELLS,
        "samples": SAMPLES,
        "rounds": options.rounds,
        "alone": {"real_time": real_time, **alone},
        "beside_busy_processes": crowded,
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
