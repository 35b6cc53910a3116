"""What is said when a run is stopped from outside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dispr_cli.errors import RunInterruptedError, StoreError


@contextmanager
def keeping_work(out: Path) -> Iterator[None]:
    """Say how many cells of a store are kept when a run is stopped.

    Raises
    ------
    RunInterruptedError
        Instead of ``KeyboardInterrupt``.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise RunInterruptedError(f"Interrupted. {_kept(out)}") from None


def _kept(out: Path) -> str:
    from dispr_cli.volumes.store import open_store

    try:
        progress = open_store(out).cells.progress()
    except StoreError:
        return f"{out} was not begun yet."
    finished = progress.done + progress.failed
    return (
        f"{finished} of {finished + progress.pending} cells are kept in {out}; "
        "the same command goes on from there."
    )
