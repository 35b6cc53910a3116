"""Work on many items in their order: by the threads of a pool, or so many at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def in_order(
    work: Callable[[_Given], _Made], items: Iterable[_Given], pool: ThreadPoolExecutor, ahead: int
) -> Iterator[_Made]:
    """Yield what becomes of each item, in their order.

    Parameters
    ----------
    work
        What is done with an item; an error is raised where its result would have come.
    items
        Taken when their turn comes.
    pool
        Whose threads do it.
    ahead
        At most so many items are begun and not yet asked for. When the caller stops asking, no further item
        is begun.
    """
    waiting: deque[Future[_Made]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def batched(items: Iterable[_Given], size: int) -> Iterator[list[_Given]]:
    """Yield the items in lists of so many; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
