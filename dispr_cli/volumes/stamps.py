"""Which files a shard's cells were read from, to see without opening them whether they are the same.

A stamp is a hint, not a part of the results: where it is missing or differs, the cells are read again and
the digests in their rows decide. So it may be lost, and two stores with equal results may differ in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from dispr_cli.durable import replace_bytes
from dispr_cli.volumes.layout import stamp_file


def write_stamps(store: Path, shard: int, stamps: Sequence[str]) -> None:
    """Keep the stamps of a shard's cells, in their order; none removes those that are there.

    Raises
    ------
    OSError
        As the operating system gives it.
    """
    file = stamp_file(store, shard)
    if stamps:
        replace_bytes(file, json.dumps(list(stamps), separators=(",", ":")).encode())
    else:
        file.unlink(missing_ok=True)


def read_stamps(store: Path, shard: int, count: int) -> list[str | None]:
    """Return the stamps of a shard's `count` cells; None for each where they are not known."""
    try:
        found = json.loads(stamp_file(store, shard).read_bytes())
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or len(found) != count:
        return [None] * count
    return [stamp if isinstance(stamp, str) and stamp else None for stamp in found]
