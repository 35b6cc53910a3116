"""Read files in order, some ahead of the one that is asked for, by threads where they pay."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from dispr_cli.ordered_work import in_order

LONG_SECONDS = 0.1
"""Work that takes longer decodes large images, which leaves the interpreter to others meanwhile."""

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def by_threads(
    work: Callable[[_Given], _Made], items: Iterable[_Given], threads: int, ahead: int
) -> Iterator[_Made]:
    """Yield what becomes of each item, in their order, with at most `ahead` of them begun."""
    with ThreadPoolExecutor(threads, thread_name_prefix="dispr-read") as pool:
        yield from in_order(work, items, pool, ahead)


def as_threads_pay(
    work: Callable[[_Given], _Made], items: Iterable[_Given], threads: int, ahead: int
) -> Iterator[_Made]:
    """Do the same without threads where they would only wait for each other.

    Small files on a fast disk keep the interpreter busy, and two threads that hand it to and fro take
    twice as long as one. The second item tells (the first also loads libraries).
    """
    left, pays = iter(items), False
    for item in islice(left, 2):
        seconds, worked = time.perf_counter(), time.thread_time()
        made = work(item)
        seconds, worked = time.perf_counter() - seconds, time.thread_time() - worked
        pays = seconds > 2 * worked or seconds > LONG_SECONDS
        yield made
    yield from by_threads(work, left, threads, ahead) if pays else map(work, left)
