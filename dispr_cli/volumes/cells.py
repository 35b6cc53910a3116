"""The table of cells as it stands, read from the row files on demand."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dispr_cli.errors import StoreError
from dispr_cli.volumes.layout import ROWS, ShardGrid, row_file, shard_file
from dispr_cli.volumes.names import Names
from dispr_cli.volumes.rows import PENDING, CellRow, read_rows


@dataclass(frozen=True, slots=True)
class Progress:
    """How many cells are done, failed and still to do."""

    done: int
    failed: int
    pending: int


@dataclass(frozen=True, slots=True)
class CellTable:
    """The rows of a store, in order; nothing is held in memory.

    Attributes
    ----------
    store
        Folder of the store.
    grid
        Its division into shards.
    """

    store: Path
    grid: ShardGrid

    @property
    def names(self) -> Names:
        """The names of all cells, also of those still to do."""
        return Names(self.store, self.grid)

    def __len__(self) -> int:
        return self.grid.num_cells

    def __iter__(self) -> Iterator[CellRow]:
        for shard in range(self.grid.num_shards):
            yield from self.of_shard(shard)

    def __getitem__(self, cell: str | int) -> CellRow:
        index = self.index(cell)
        shard = self.grid.shard_of(index)
        return self.of_shard(shard)[index - self.grid.cells_of(shard).start]

    def index(self, cell: str | int) -> int:
        """Return the index of a cell given by its name or its index; digits are an index if no cell's name.

        Raises
        ------
        StoreError
            If the store has no such cell.
        """
        if isinstance(cell, str):
            found = self.names.index(cell)
            if found is not None:
                return found
            if not (cell.isdecimal() and cell.isascii()):
                raise StoreError(f"{self.store} has no cell called {cell!r}; cells.csv lists those it has.")
            cell = int(cell[:20])
        if not 0 <= cell < len(self):
            raise StoreError(f"{self.store} has no cell {cell}: it holds the cells 0 to {len(self) - 1}.")
        return int(cell)

    def of_shard(self, shard: int) -> Sequence[CellRow]:
        """Return the rows of one shard; all pending where it was never written or is torn.

        Raises
        ------
        StoreError
            If the list of names is missing or damaged.
        """
        names = self.names.of_shard(shard)
        found = read_rows(row_file(self.store, shard), names)
        # A row file outlives its shard only when a disk lost what it had promised to keep.
        if found is None or found.shard_bytes != self._shard_bytes(shard):
            return [CellRow(name=name, status=PENDING) for name in names]
        return found.rows

    def unfinished_shards(
        self, shards: Iterable[int] | None = None, *, retry_failed: bool = False
    ) -> Iterator[int]:
        """Yield the shards, of those given or of all, with a cell that is pending.

        Parameters
        ----------
        retry_failed
            Yield those with a failed cell too.
        """
        for shard in range(self.grid.num_shards) if shards is None else shards:
            if any(_is_open(row, retry_failed) for row in self.of_shard(shard)):
                yield shard

    def progress(self, shards: Iterable[int] | None = None) -> Progress:
        """Count the cells of some shards, or of all, by their status."""
        chosen = range(self.grid.num_shards) if shards is None else shards
        rows = (row for shard in chosen for row in self.of_shard(shard))
        counts = Counter("done" if row.is_done else "failed" if row.is_failed else "pending" for row in rows)
        return Progress(counts["done"], counts["failed"], counts["pending"])

    def stamp(self) -> dict[str, tuple[int, int]]:
        """Return which row files there are, to notice that another process finished a shard.

        The inode stands beside the time, which may stand still or jump back; a replaced file has another.
        """
        with os.scandir(self.store / ROWS) as entries:
            files = [(entry.name, entry.stat()) for entry in entries if entry.name.endswith(".json")]
        return {name: (found.st_ino, found.st_mtime_ns) for name, found in files}

    def _shard_bytes(self, shard: int) -> int:
        try:
            return shard_file(self.store, shard).stat().st_size
        except FileNotFoundError:
            return 0


def _is_open(row: CellRow, retry_failed: bool) -> bool:
    return row.status == PENDING or (retry_failed and row.is_failed)
