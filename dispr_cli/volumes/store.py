"""The store of one run: volumes written shard by shard, resumed after any interruption, read by name.

The shard is the unit of writing, resuming and parallel work. A shard counts once its row file is
there; the row file is written last, whole or not at all. So several processes may own different
shards of one store without knowing of each other, and may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.durable import DISK_FULL, explained, remove_partial_files, replace_bytes
from dispr_cli.errors import StoreError
from dispr_cli.volumes.array import open_array, read_volumes
from dispr_cli.volumes.attributes import read_attributes
from dispr_cli.volumes.cells import CellTable, Progress
from dispr_cli.volumes.draft import ShardDraft
from dispr_cli.volumes.layout import ROWS, TABLE, ShardGrid, row_file, shard_file
from dispr_cli.volumes.rows import CellRow, write_rows
from dispr_cli.volumes.stamps import write_stamps
from dispr_cli.volumes.table import write_table


@dataclass(frozen=True)
class VolumeStore:
    """An open store; see :func:`dispr_cli.volumes.create.create_or_resume` and :func:`open_store`.

    Attributes
    ----------
    path
        Folder of the store.
    grid
        Number of cells and samples, and the division into shards.
    voxel_size_um
        Side of a voxel in micrometres; None if unknown.
    configuration
        The settings that the store was made with; another run must have the same to continue it.
    provenance
        Further facts about the run that made it, such as version and device.
    cells_sha256
        Digest of the list of names.
    """

    path: Path
    grid: ShardGrid
    voxel_size_um: float | None
    configuration: dict[str, Any]
    provenance: dict[str, Any]
    cells_sha256: str

    @property
    def num_cells(self) -> int:
        """Cells of the store, finished or not."""
        return self.grid.num_cells

    @property
    def num_samples(self) -> int:
        """Samples per cell."""
        return self.grid.num_samples

    @property
    def cells(self) -> CellTable:
        """The table of cells as it stands: ``store.cells[name]``, ``for row in store.cells``."""
        return CellTable(self.path, self.grid)

    @cached_property
    def _array(self) -> Any:
        return open_array(self.path, self.grid)

    # Writing

    def pending_shards(self, shards: Iterable[int] | None = None, *, retry_failed: bool = False) -> list[int]:
        """Return the shards still to be written, or to be completed.

        Parameters
        ----------
        shards
            Look at these only; at all if None.
        retry_failed
            Count shards with failed cells too.
        """
        return list(self.cells.unfinished_shards(shards, retry_failed=retry_failed))

    def is_complete(self) -> bool:
        """Whether no cell is pending; quick to say no while whole shards are missing."""
        written = len(self.cells.stamp()) >= self.grid.num_shards
        return written and next(self.cells.unfinished_shards(), None) is None

    def draft(self, shard: int) -> ShardDraft:
        """Begin a shard, with what an earlier run left of it; with nothing if that is damaged."""
        names = self.cells.names.of_shard(shard)
        draft, first = ShardDraft(shard, self.grid, names), self.grid.cells_of(shard).start
        try:
            for place, row in enumerate(self.cells.of_shard(shard)):
                if row.is_done:
                    origin = shard_file(self.path, shard)
                    cell = slice(first + place, first + place + 1)
                    draft.put(place, row, read_volumes(self._array, cell, None, origin)[0])
                elif row.is_failed:
                    draft.put(place, row)
        except StoreError:
            return ShardDraft(shard, self.grid, names)
        return draft

    def write_draft(self, draft: ShardDraft) -> None:
        """Write one shard and then the row file that makes it count.

        Cells that are still pending keep what is finished of a shard when a run is interrupted: :meth:`draft`
        gives it back, and the shard stays among :meth:`pending_shards`. Nothing is written if another process
        has meanwhile finished more cells of this shard than the draft holds.

        Raises
        ------
        StoreError
            If the disk is full, the folder cannot be written, or another run took the place of this store.
        """
        self._check_still_there()
        shard = draft.shard
        if _finished(draft.rows) < _finished(self.cells.of_shard(shard)):
            return
        encoded = draft.encoded()
        with explained(self.path, f"write shard {shard}"), self._told_when_full(shard, len(encoded)):
            self._replace_shard(shard_file(self.path, shard), encoded)
            write_rows(row_file(self.path, shard), draft.rows, encoded)
            write_stamps(self.path, shard, draft.stamps)

    def write_shard(self, shard: int, volumes: NDArray[np.uint8], rows: Sequence[CellRow]) -> None:
        """Write one shard whose cells are all there, see :meth:`write_draft`.

        Parameters
        ----------
        shard
            Which shard.
        volumes
            (k, S, 64, 64, 64) uint8 with k the cells of this shard; zero for cells that are not done.
        rows
            Their k rows, in order; volumes are counted here.

        Raises
        ------
        ValueError
            If shape, type or names are not those of this shard.
        StoreError
            If the disk is full, the folder cannot be written, or another run took the place of this store.
        """
        self._check(shard, volumes, rows)
        draft = ShardDraft(shard, self.grid, [row.name for row in rows])
        for place, (row, samples) in enumerate(zip(rows, volumes, strict=True)):
            draft.put(place, row, samples)
        self.write_draft(draft)

    def finish(self) -> Progress:
        """Assemble ``cells.csv`` from what is there, finished or not, and count it.

        Raises
        ------
        StoreError
            If the table cannot be written.
        """
        with explained(self.path / TABLE, "write the table of cells"):
            self.cells.names.mend_offsets()
            for folder in (self.path, self.path / ROWS):
                remove_partial_files(folder)
            # Another process may have been killed while it created this store and lost the race for its name.
            remove_partial_files(self.path.parent, self.path.name)
            while True:
                before = self.cells.stamp()
                progress = write_table(self.path / TABLE, self.cells)
                # Another process may have finished a shard, and even its table, while this one was written.
                if self.cells.stamp() == before:
                    return progress

    # Reading

    def read(self, cell: str | int, sample: int | None = None) -> NDArray[np.uint8]:
        """Read the samples of one cell, (S, 64, 64, 64), or one of them, (64, 64, 64).

        Raises
        ------
        StoreError
            If there is no such cell or sample, the cell is not done, or its shard is damaged.
        """
        index = self.cells.index(cell)
        if sample is not None and not 0 <= sample < self.num_samples:
            raise StoreError(f"{self.path} has no sample {sample}: it holds 0 to {self.num_samples - 1}.")
        row = self.cells[index]
        if not row.is_done:
            raise StoreError(f"{self.path}: cell {row.name!r} has no volume, its status is '{row.status}'.")
        origin = shard_file(self.path, self.grid.shard_of(index))
        return read_volumes(self._array, slice(index, index + 1), sample, origin)[0]

    def read_shard(self, shard: int) -> tuple[NDArray[np.uint8], Sequence[CellRow]]:
        """Read one shard: its volumes, (k, S, 64, 64, 64), zero where a cell is not done, and its rows.

        Raises
        ------
        StoreError
            If the shard is damaged.
        """
        rows = self.cells.of_shard(shard)
        if not any(row.is_done for row in rows):
            return np.zeros(self.grid.volume_shape(shard), np.uint8), rows
        cells = self.grid.cells_of(shard)
        origin = shard_file(self.path, shard)
        return read_volumes(self._array, slice(cells.start, cells.stop), None, origin), rows

    def shards(self) -> Iterator[tuple[NDArray[np.uint8], Sequence[CellRow]]]:
        """Iterate over the whole store, one shard in memory at a time, see :meth:`read_shard`."""
        for shard in range(self.grid.num_shards):
            yield self.read_shard(shard)

    def progress(self, shards: Iterable[int] | None = None) -> Progress:
        """Count the cells of some shards, or of all, that are done, failed and pending."""
        return self.cells.progress(shards)

    @contextlib.contextmanager
    def _told_when_full(self, shard: int, size: int) -> Iterator[None]:
        """Say how much space the rest of the store takes, going by the size of one shard."""
        try:
            yield
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            pending = len(self.pending_shards())
            free = shutil.disk_usage(self.path).free
            raise StoreError(
                f"{self.path}: the disk is full at shard {shard}: {_megabytes(free)} are free, the {pending} "
                f"shards still to do take about {_megabytes(pending * size)}. What was finished is kept: "
                "free some space and run the same command again."
            ) from error

    def _check_still_there(self) -> None:
        """Refuse to write into a store that another run put in this one's place."""
        if open_store(self.path) != self:
            raise StoreError(
                f"{self.path} was replaced by a store of another run while this one was writing: nothing of "
                "this run is kept in it. Give each run an output of its own."
            )

    def _check(self, shard: int, volumes: NDArray[np.uint8], rows: Sequence[CellRow]) -> None:
        expected = self.grid.volume_shape(shard)
        if volumes.shape != expected or volumes.dtype != np.uint8:
            found = f"{volumes.shape} {volumes.dtype}"
            raise ValueError(f"shard {shard} takes volumes {expected} uint8, not {found}")
        names = self.cells.names.of_shard(shard)
        if [row.name for row in rows] != names:
            raise ValueError(f"the rows of shard {shard} must be those of {names[0]!r} to {names[-1]!r}")

    def _replace_shard(self, path: Path, encoded: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_partial_files(path.parent)
        if encoded:
            replace_bytes(path, encoded)
        else:
            path.unlink(missing_ok=True)


def open_store(path: Path | str) -> VolumeStore:
    """Open a store; the cost does not depend on the number of its cells.

    Raises
    ------
    StoreError
        If `path` is not a store made by this program, or is damaged.
    """
    path = Path(path)
    found = read_attributes(path)
    return VolumeStore(
        path, found.grid, found.voxel_size_um, found.configuration, found.provenance, found.cells_sha256
    )


def _finished(rows: Sequence[CellRow]) -> int:
    return sum(row.is_done or row.is_failed for row in rows)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
