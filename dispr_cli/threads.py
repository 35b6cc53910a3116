"""How many CPU threads a command takes, and how they wait for each other."""

from __future__ import annotations

import os

SPIN_COUNT = 10_000
"""How often a thread of GNU's OpenMP looks for work before it sleeps.

By default it looks 300,000 times, which takes many milliseconds. All the while it occupies a core; on a
busy machine that may be the one on which the thread it waits for should run. benchmarks/waiting_threads.py
measures what that costs.
"""


def bound_spinning() -> None:
    """Have waiting threads sleep soon, unless the environment says how they wait; before torch is imported.

    On cores that others use too, threads take a part of the time; alone they lose nothing measurable.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))


def available_cores() -> int:
    """Count the CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_threads() -> int:
    """Count the threads a command takes unless ``--threads`` says otherwise.

    Those of ``OMP_NUM_THREADS``, or all cores; a share where torchrun started several processes here.
    """
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    asked = asked_threads()
    # torchrun sets it to 1 where nobody has set it.
    if asked is not None and not (asked == 1 and processes > 1):
        return asked
    return max(1, available_cores() // processes)


def asked_threads() -> int | None:
    """Return the number of threads that ``OMP_NUM_THREADS`` asks for; None where it says nothing of use."""
    outermost = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(outermost) if outermost.isdecimal() and int(outermost) > 0 else None
