"""The chain of directories of a TIFF file, walked before a decoder does."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import IO

_MOST_TAGS = 4096
"""A directory of more is left to the decoder, which refuses it (as one that is cut short)."""


def directories_overlap(path: Path) -> bool:
    """Whether the directories of a TIFF file lie on top of each other, or in a circle.

    In sound files they stand apart, so all of them together are no longer than the file. In a damaged one a
    chain may wander over the same bytes for minutes, each time as another directory of thousands of tags.

    Raises
    ------
    OSError
        As the operating system gives it.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(16)
        if len(head) < 16:
            return False
        order = "<" if head[:2] == b"II" else ">"
        # TIFF 6.0, section 2; BigTIFF (version 43) has wider counts and offsets.
        is_big = struct.unpack(f"{order}H", head[2:4])[0] == 43
        form = (f"{order}Q", 20, f"{order}Q") if is_big else (f"{order}H", 12, f"{order}I")
        start = struct.unpack(form[2], head[8:16] if is_big else head[4:8])[0]
        return _taken(file, size, start, form) > size


def _taken(file: IO[bytes], size: int, start: int, form: tuple[str, int, str]) -> int:
    """Bytes of all directories from ``start`` on, up to the first that are more than the file has."""
    count_form, tag_bytes, offset_form = form
    count_bytes, offset_bytes = struct.calcsize(count_form), struct.calcsize(offset_form)
    taken, at, seen = 0, start, set()
    while 0 < at < size and taken <= size:
        if at in seen:
            return size + 1
        seen.add(at)
        file.seek(at)
        count = _number(count_form, file.read(count_bytes))
        end = at + count_bytes + count * tag_bytes
        if not 0 < count <= _MOST_TAGS or end > size:
            break  # The decoder says what is wrong with it.
        taken += end - at + offset_bytes
        file.seek(end)
        at = _number(offset_form, file.read(offset_bytes))
    return taken


def _number(form: str, data: bytes) -> int:
    return int(struct.unpack(form, data)[0]) if len(data) == struct.calcsize(form) else 0
