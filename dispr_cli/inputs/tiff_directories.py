"""The directories of a TIFF file, walked before a decoder does."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_MOST_TAGS = 4096
"""A directory of more is left to the decoder, which refuses it (as one that is cut short)."""

_MOST_DIRECTORIES = 2**18
"""More than the planes and levels of any image of cells; the decoder takes a minute for a few millions."""

_SUB_DIRECTORIES = 330
# TIFF 6.0, section 2, and the types that BigTIFF adds: what whole numbers an entry may hold.
_WHOLE = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}


@dataclass(frozen=True, slots=True)
class _Form:
    """How numbers of a file are written: their order, and formats of counts, of offsets and of an entry."""

    order: str
    count: str
    offset: str
    entry: str

    @property
    def offset_bytes(self) -> int:
        return struct.calcsize(self.order + self.offset)


_CLASSIC, _BIG = ("H", "I", "HHI4s"), ("Q", "Q", "HHQ8s")


def directories_overlap(path: Path) -> bool:
    """Whether the directories of a TIFF file lie on top of each other, in a circle, or are far too many.

    In sound files they stand apart, so all of them together are no longer than the file. In a damaged one a
    chain may wander over the same bytes for minutes, each time as another directory of thousands of tags;
    and one directory may name another, as a lower resolution of it, a million times.

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
        form = _Form(order, *(_BIG if is_big else _CLASSIC))
        start = _number(form, form.offset, head[8:16] if is_big else head[4:8])
        taken = 0
        for number, length in enumerate(_lengths(file, size, start, form)):
            taken += length
            if taken > size or number > _MOST_DIRECTORIES:
                return True
        return False


def _lengths(file: IO[bytes], size: int, start: int, form: _Form) -> Iterator[int]:
    """Yield the bytes of each directory of the chain and of those below it; more than `size` for a circle."""
    at, seen = start, set()
    while 0 < at < size:
        if at in seen:
            yield size + 1
            return
        seen.add(at)
        found = _directory(file, size, at, form)
        if found is None:
            return  # The decoder says what is wrong with it.
        entries, at = found
        yield len(entries) + form.offset_bytes + struct.calcsize(form.count)
        for below in _named_in(file, entries, form):
            other = _directory(file, size, below, form) if 0 < below < size else None
            yield form.offset_bytes + (len(other[0]) if other else 0)


def _directory(file: IO[bytes], size: int, at: int, form: _Form) -> tuple[bytes, int] | None:
    """Return the entries of a directory and where the next is; None if it is cut short or far too long."""
    file.seek(at)
    count_bytes = struct.calcsize(form.count)
    count = _number(form, form.count, file.read(count_bytes))
    length = count * struct.calcsize(form.order + form.entry)
    if count > _MOST_TAGS or at + count_bytes + length > size:
        return None
    entries = file.read(length)
    return entries, _number(form, form.offset, file.read(form.offset_bytes))


def _named_in(file: IO[bytes], entries: bytes, form: _Form) -> Iterator[int]:
    """Yield where the directories are that the entries of one name as lower resolutions or thumbnails."""
    for tag, kind, count, value in struct.iter_unpack(form.order + form.entry, entries):
        if tag != _SUB_DIRECTORIES or kind not in _WHOLE:
            continue
        one = struct.calcsize(_WHOLE[kind])
        if count * one > len(value):
            file.seek(_number(form, form.offset, value))
            value = file.read(min(count, _MOST_DIRECTORIES + 1) * one)
        count = min(count, len(value) // one)
        yield from struct.unpack(f"{form.order}{count}{_WHOLE[kind]}", value[: count * one])


def _number(form: _Form, kind: str, data: bytes) -> int:
    whole = len(data) == struct.calcsize(form.order + kind)
    return int(struct.unpack(form.order + kind, data)[0]) if whole else 0
