"""The C library's heap over a long run: few arenas, and what is free goes back to the system.

Threads that read, compute and compress free memory of one another, and glibc keeps the holes, in an arena of
each thread: peaks grew by a twentieth between a thousand and a hundred thousand cells. Other C libraries are
left as they are.
"""

from __future__ import annotations

import ctypes
from functools import cache

ARENAS = 2
"""One for the network's thread, one for all others."""

_M_ARENA_MAX = -8  # malloc.h


@cache
def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
        return library if library.mallopt and library.malloc_trim else None
    except (OSError, AttributeError, TypeError):
        return None


def share_arenas() -> None:
    """Let threads started from now on share arenas; to be called before a run starts its threads."""
    library = _glibc()
    if library is not None:
        library.mallopt(_M_ARENA_MAX, ARENAS)


def return_free_memory() -> None:
    """Give whole free pages back, wherever in the heap they are (a few milliseconds)."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)
