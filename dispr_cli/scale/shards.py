"""One shard after the other: read its cells, reconstruct them, hand them to the store.

Reading (a thread pool), the network (the calling thread) and writing (one thread)
overlap; memory holds two shards at most, however many cells there are. Whoever
shares the shards out (this process, parts, a cluster) uses what stands here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dispr_cli.diffusion.trust import Trust, trust_of
from dispr_cli.errors import CellError, DisprError, StoreError
from dispr_cli.inputs.cell import Cell
from dispr_cli.inputs.plan import CellRef, read_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.method import Method
from dispr_cli.scale.descriptions import Area, described
from dispr_cli.volumes.cells import Progress
from dispr_cli.volumes.rows import DONE, FAILED, PENDING, CellRow
from dispr_cli.volumes.store import VolumeStore

Item = TypeVar("Item")


class Events(Protocol):
    """What a run tells whoever watches it."""

    def started(self, store: VolumeStore, progress: Progress) -> None:
        """Take the open store; ``progress`` counts what an earlier run left finished."""

    def reconstructed(self, done: int, failed: Sequence[tuple[str, str]]) -> None:
        """Take a finished batch: so many cells done, and the failed ones with their reasons."""


class Silence:
    """Events that nobody watches."""

    def started(self, store: VolumeStore, progress: Progress) -> None:
        """Say nothing."""

    def reconstructed(self, done: int, failed: Sequence[tuple[str, str]]) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done to every shard; small and picklable.

    Attributes
    ----------
    inputs
        How cells are read.
    seed
        Decides, with each cell's pixels, the shapes that come out.
    cells_at_once
        Cells handed to the method in one call.
    retry_failed
        Try again the cells that failed in an earlier run.
    area
        Measures the surface of one volume in squares of a voxel's side; picklable. None leaves it out.
    """

    inputs: InputSettings
    seed: int
    cells_at_once: int
    retry_failed: bool = False
    area: Area | None = None


def reconstruct_shards(
    store: VolumeStore,
    refs: Sequence[CellRef],
    shards: Iterable[int],
    method: Method,
    job: Job,
    events: Events,
) -> None:
    """Reconstruct some shards of a store.

    Parameters
    ----------
    refs
        All cells of the store, in its order.
    shards
        Which shards, in this order.

    Raises
    ------
    DisprError
        If the store cannot be written. A cell that cannot be read is no error here: its row says why.
    """
    with ShardWriter(store, job.area, trust_of(method)) as writer:
        for shard in shards:
            cells = store.grid.cells_of(shard)
            own = refs[cells.start : cells.stop]
            reconstruct_shard(store, shard, own, method, job, events, writer)


def reconstruct_shard(
    store: VolumeStore,
    shard: int,
    refs: Sequence[CellRef],
    method: Method,
    job: Job,
    events: Events,
    writer: ShardWriter,
) -> None:
    """Reconstruct what one shard lacks.

    Parameters
    ----------
    refs
        The cells of this shard, in its order.
    writer
        Takes the shard at the end, or what there is of it at an interruption.
    """
    volumes, rows = _kept(store, shard)
    tried: dict[int, Cell | CellError] = {}
    pending = [i for i, row in enumerate(rows) if _is_open(row, job.retry_failed)]
    try:
        for batch in batched(read_cells(refs, job.inputs, pending), job.cells_at_once):
            good = [(index, cell) for index, cell in batch if isinstance(cell, Cell)]
            if good:
                drawn = method.reconstruct([cell for _, cell in good], store.num_samples, job.seed)
                for (index, _), samples in zip(good, drawn, strict=True):
                    volumes[index] = samples
            for index, cell in batch:
                rows[index] = _row(refs[index], cell)
                tried[index] = cell
            failed = [(refs[i].name, str(cell)) for i, cell in batch if not isinstance(cell, Cell)]
            events.reconstructed(len(good), failed)
    finally:
        # After an interruption too: rows still pending keep their cells for the next run.
        writer.put(shard, volumes, rows, tried)


def _kept(store: VolumeStore, shard: int) -> tuple[NDArray[np.uint8], list[CellRow]]:
    """Return what an earlier run left of a shard; nothing if that is damaged."""
    try:
        volumes, rows = store.read_shard(shard)
    except StoreError:
        names = store.cells.names.of_shard(shard)
        return np.zeros(store.grid.volume_shape(shard), np.uint8), [CellRow(n, status=PENDING) for n in names]
    return volumes, list(rows)


def _is_open(row: CellRow, retry_failed: bool) -> bool:
    return not row.is_done and (retry_failed or not row.is_failed)


def _row(ref: CellRef, cell: Cell | CellError) -> CellRow:
    row = CellRow(
        name=ref.name,
        source=str(ref.image),
        label=ref.label,
        bounding_box=ref.bounding_box,
        touches_border=ref.touches_border,
    )
    if isinstance(cell, Cell):
        return replace(row, voxel_size_um=cell.voxel_size_um, status=DONE)
    return replace(row, status=f"{FAILED}{cell}")


class ShardWriter:
    """Measures and writes shards in the background, one at a time; the next waits until the last is on disk.

    Parameters
    ----------
    area
        As in :class:`Job`.
    trust
        What was measured of the method's weights; None leaves its columns empty.
    """

    def __init__(self, store: VolumeStore, area: Area | None = None, trust: Trust | None = None) -> None:
        self._store, self._area, self._trust = store, area, trust
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="dispr-write")
        self._last: Future[None] | None = None

    def __enter__(self) -> ShardWriter:
        return self

    def put(
        self,
        shard: int,
        volumes: NDArray[np.uint8],
        rows: Sequence[CellRow],
        cells: Mapping[int, Cell | CellError] = MappingProxyType({}),
    ) -> None:
        """Hand over a shard and its cells, as far as they were read; neither must be touched again."""
        self._wait()
        self._last = self._pool.submit(self._write, shard, volumes, rows, cells)

    def _write(
        self,
        shard: int,
        volumes: NDArray[np.uint8],
        rows: Sequence[CellRow],
        cells: Mapping[int, Cell | CellError],
    ) -> None:
        found = [
            described(row, cells.get(index), samples, self._area, self._trust)
            for index, (row, samples) in enumerate(zip(rows, volumes, strict=True))
        ]
        self._store.write_shard(shard, volumes, found)

    def _wait(self) -> None:
        if self._last is not None:
            last, self._last = self._last, None
            last.result()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._wait()
            else:
                # The error that ended the run is the one to show.
                with suppress(DisprError):
                    self._wait()
        finally:
            self._pool.shutdown()


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items in lists of so many; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
