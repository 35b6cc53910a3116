"""The names of all cells of a store, kept so that finding one costs the same in small and huge stores."""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dispr_cli.durable import replaced
from dispr_cli.errors import StoreError
from dispr_cli.volumes.layout import ROWS, ShardGrid

NAMES = "names.jsonl"
OFFSETS = "names.offsets"


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
        try:
            start, end = self._offsets(shard)
            with self._file.open("rb") as file:
                file.seek(start)
                names = [json.loads(line) for line in file.read(end - start).splitlines()]
        except (OSError, ValueError) as error:
            raise self._damaged(str(error)) from error
        if len(names) != expected or not all(isinstance(name, str) for name in names):
            raise self._damaged(f"shard {shard} has {len(names)} names instead of {expected}")
        return names

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
                shard, start = self._shard_at(position)
                return shard * self.grid.shard_cells + content[start:position].count(b"\n")
        except (OSError, ValueError) as error:
            raise self._damaged(str(error)) from error

    def __iter__(self) -> Iterator[str]:
        for shard in range(self.grid.num_shards):
            yield from self.of_shard(shard)

    @property
    def _file(self) -> Path:
        return self.store / ROWS / NAMES

    def _offsets(self, shard: int) -> tuple[int, int]:
        pair = np.fromfile(self.store / ROWS / OFFSETS, "<u8", count=2, offset=8 * shard)
        if len(pair) != 2 or pair[1] < pair[0] or pair[1] > self._file.stat().st_size:
            raise ValueError(f"{OFFSETS} is damaged")
        return int(pair[0]), int(pair[1])

    def _shard_at(self, position: int) -> tuple[int, int]:
        offsets = np.fromfile(self.store / ROWS / OFFSETS, "<u8")
        shard = int(np.searchsorted(offsets, position, side="right")) - 1
        return shard, int(offsets[shard])

    def _damaged(self, found: str) -> StoreError:
        return StoreError(
            f"{self._file}: the list of cells of this store is missing or damaged ({found}). "
            "Reconstruct into a new store, or anew with --overwrite."
        )


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
