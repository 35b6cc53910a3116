"""The names of all cells of a store, kept so that finding one costs the same in small and huge stores."""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dispr_cli.durable import replace_bytes, replaced
from dispr_cli.errors import StoreError
from dispr_cli.volumes.layout import ROWS, ShardGrid

NAMES = "names.jsonl"
OFFSETS = "names.offsets"
REMEDY = (
    "Give the dispr reconstruct command of the run again, which writes the list anew, or restore the file"
)
"""What to do about a list of names that is lost: a run knows its cells."""


def write_names(store: Path, names: Iterable[str], grid: ShardGrid) -> str:
    """Write the names, one JSON string per line, and where each shard begins.

    Returns
    -------
    str
        SHA-256 of the list, see :func:`digest`.

    Raises
    ------
    ValueError
        If there are more or fewer names than cells, or a name twice.
    OSError
        As the operating system gives it.
    """
    offsets = np.zeros(grid.num_shards + 1, "<u8")
    prints = np.zeros(grid.num_cells, np.uint64)
    whole = hashlib.sha256()
    index = position = 0
    with replaced(store / ROWS / NAMES) as file:
        for index, name in enumerate(names, start=1):
            if index > grid.num_cells:
                raise ValueError(f"more than {grid.num_cells} names for {grid.num_cells} cells")
            line = _line(name)
            prints[index - 1] = _fingerprint(line)
            file.write(line)
            whole.update(line)
            position += len(line)
            if index % grid.shard_cells == 0:
                offsets[index // grid.shard_cells] = position
    if index != grid.num_cells:
        raise ValueError(f"{index} names for {grid.num_cells} cells")
    offsets[-1] = position
    _refuse_repeated(names, prints)
    with replaced(store / ROWS / OFFSETS) as file:
        file.write(offsets.tobytes())
    return whole.hexdigest()


def mend_names(store: Path, names: Iterable[str], grid: ShardGrid, sha256: str) -> None:
    """Write the list anew where it is not what it was; on media that only can be read nothing happens.

    Parameters
    ----------
    names
        Of all cells, with the digest `sha256`.
    """
    found = Names(store, grid)
    with suppress(OSError):
        if not found.is_list(sha256):
            write_names(store, names, grid)
        found.mend_offsets()


def digest(names: Iterable[str]) -> str:
    """Return the SHA-256 of a list of names, order included."""
    whole = hashlib.sha256()
    for name in names:
        whole.update(_line(name))
    return whole.hexdigest()


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a store, read from disk on demand.

    Attributes
    ----------
    store
        Folder of the store.
    grid
        Its division into shards.
    """

    store: Path
    grid: ShardGrid

    def of_shard(self, shard: int) -> list[str]:
        """Return the names of one shard's cells.

        Raises
        ------
        StoreError
            If the list of names is missing or damaged.
        """
        expected = len(self.grid.cells_of(shard))
        with suppress(OSError, ValueError):
            return self._between(*self._written_offsets(shard), expected)
        # The offsets only save time: where they are lost, lines are counted.
        try:
            start, end = self._counted_offsets()[shard : shard + 2].tolist()
            return self._between(start, end, expected)
        except (OSError, ValueError) as error:
            raise self._damaged(str(error)) from error

    def index(self, name: str) -> int | None:
        """Return the index of the cell called `name`, or None if there is none.

        Raises
        ------
        StoreError
            If the list of names is missing or damaged.
        """
        line = _line(name)
        try:
            with (
                self._file.open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
            ):
                position = 0 if content[: len(line)] == line else content.find(b"\n" + line) + 1
                if position == 0 and content[: len(line)] != line:
                    return None
                shard, start = self._shard_at(position, content)
                return shard * self.grid.shard_cells + content[start:position].count(b"\n")
        except (OSError, ValueError) as error:
            raise self._damaged(str(error)) from error

    def __iter__(self) -> Iterator[str]:
        for shard in range(self.grid.num_shards):
            yield from self.of_shard(shard)

    def is_list(self, sha256: str) -> bool:
        """Whether the list on the disk has this digest; see :func:`digest`."""
        try:
            with self._file.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except FileNotFoundError:
            return False

    def has_offsets(self) -> bool:
        """Whether the offsets on the disk are those of the list.

        Raises
        ------
        OSError, ValueError
            If the list is missing or has another number of names.
        """
        try:
            return self._offsets_file.read_bytes() == self._counted_offsets().tobytes()
        except FileNotFoundError:
            self._file.stat()
            return False

    def mend_offsets(self) -> None:
        """Write the offsets anew where they are not those of the list, which must be sound.

        Raises
        ------
        OSError
            As the operating system gives it.
        """
        with suppress(ValueError):
            if not self.has_offsets():
                replace_bytes(self._offsets_file, self._counted_offsets().tobytes())

    @property
    def _file(self) -> Path:
        return self.store / ROWS / NAMES

    @property
    def _offsets_file(self) -> Path:
        return self.store / ROWS / OFFSETS

    def _between(self, start: int, end: int, expected: int) -> list[str]:
        with self._file.open("rb") as file:
            file.seek(start)
            lines = file.read(end - start).splitlines()
        try:
            names = [json.loads(line) for line in lines]
        except RecursionError as error:
            raise ValueError("a name is nested too deep") from error
        if len(names) != expected or not all(isinstance(name, str) for name in names):
            raise ValueError(f"a shard has {len(names)} names instead of {expected}")
        return names

    def _written_offsets(self, shard: int) -> tuple[int, int]:
        pair = np.fromfile(self._offsets_file, "<u8", count=2, offset=8 * shard)
        if len(pair) != 2 or pair[1] < pair[0] or pair[1] > self._file.stat().st_size:
            raise ValueError(f"{OFFSETS} is damaged")
        return int(pair[0]), int(pair[1])

    def _counted_offsets(self) -> NDArray[np.uint64]:
        found = self._file.stat()
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
        return _counted_offsets(self._file, stamp, self.grid)

    def _shard_at(self, position: int, content: mmap.mmap) -> tuple[int, int]:
        """Return the shard whose names a position lies in, and where they begin."""
        with suppress(OSError, ValueError):
            shard, start = _place(np.fromfile(self._offsets_file, "<u8"), position)
            if start == 0 or content[start - 1 : start] == b"\n":
                return shard, start
        return _place(self._counted_offsets(), position)

    def _damaged(self, found: str) -> StoreError:
        return StoreError(
            f"{self._file}: the list of cells of this store is missing or damaged ({found}). {REMEDY}."
        )


def _place(offsets: NDArray[np.uint64], position: int) -> tuple[int, int]:
    if not len(offsets) or offsets[0] != 0 or (offsets[1:] < offsets[:-1]).any() or offsets[-1] <= position:
        raise ValueError(f"{OFFSETS} is damaged")
    shard = int(np.searchsorted(offsets, position, side="right")) - 1
    return shard, int(offsets[shard])


@lru_cache(maxsize=4)
def _counted_offsets(file: Path, stamp: tuple[int, ...], grid: ShardGrid) -> NDArray[np.uint64]:
    """Count where each shard's names begin, and where the last end; kept while the file stays as it is."""
    with file.open("rb") as lines:
        ends = np.fromiter(accumulate(map(len, lines), initial=0), "<u8")
    if len(ends) != grid.num_cells + 1:
        raise ValueError(f"{len(ends) - 1} names for {grid.num_cells} cells")
    return np.append(ends[: -1 : grid.shard_cells], ends[-1:])


def _line(name: str) -> bytes:
    # ASCII JSON keeps newlines, quotes and undecodable file names on one line and apart.
    return json.dumps(name).encode() + b"\n"


def _fingerprint(line: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(line, digest_size=8).digest(), "little")


def _refuse_repeated(names: Iterable[str], prints: NDArray[np.uint64]) -> None:
    values, counts = np.unique(prints, return_counts=True)
    twice = set(values[counts > 1].tolist())
    if twice:
        name = next(name for name in names if _fingerprint(_line(name)) in twice)
        raise ValueError(f"two cells are called {name!r}")
