"""One shard after the other: read its cells, reconstruct them, hand them to the store.

Reading (a thread pool), the network (the calling thread), compressing and writing
(one thread) overlap; memory holds a few batches of cells and one shard, compressed,
however many cells there are. Whoever
shares the shards out (this process, parts, a cluster) uses what stands here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dispr_cli.diffusion.trust import Trust, trust_of
from dispr_cli.errors import CellError, DisprError
from dispr_cli.inputs.cell import Cell
from dispr_cli.inputs.fields import FieldCache
from dispr_cli.inputs.plan import CellRef, read_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.method import Method
from dispr_cli.ordered_work import batched
from dispr_cli.scale.descriptions import Area, described
from dispr_cli.scale.file_names import named_from, source_folder
from dispr_cli.scale.heap import return_free_memory, share_arenas
from dispr_cli.volumes.cells import Progress
from dispr_cli.volumes.draft import ShardDraft
from dispr_cli.volumes.rows import DONE, FAILED, CellRow
from dispr_cli.volumes.store import VolumeStore

_MOST_WAITING = 1
"""Batch of cells, or shard, that waits to be compressed or written while the network works on the next."""


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
    source
        The folder, manifest or file of the run, from which the table names images; None: from the root.
    """

    inputs: InputSettings
    seed: int
    cells_at_once: int
    retry_failed: bool = False
    area: Area | None = None
    source: Path | None = None


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
    fields = FieldCache(job.inputs)
    with ShardWriter(store, job.area, trust_of(method)) as writer:
        for shard in shards:
            cells = store.grid.cells_of(shard)
            own = refs[cells.start : cells.stop]
            reconstruct_shard(store, shard, own, method, job, events, writer, fields)


def reconstruct_shard(
    store: VolumeStore,
    shard: int,
    refs: Sequence[CellRef],
    method: Method,
    job: Job,
    events: Events,
    writer: ShardWriter,
    fields: FieldCache,
) -> None:
    """Reconstruct what one shard lacks.

    Parameters
    ----------
    refs
        The cells of this shard, in its order.
    writer
        Takes the shard at the end, or what there is of it at an interruption.
    fields
        Images that were decoded for other shards: one with thousands of cells is in many of them.
    """
    draft, folder = store.draft(shard), source_folder(job.source)
    draft.stamps = [ref.stamp for ref in refs]
    pending = [place for place, row in enumerate(draft.rows) if _is_open(row, job.retry_failed)]
    try:
        for batch in batched(read_cells(refs, job.inputs, pending, cache=fields), job.cells_at_once):
            good = [(place, cell) for place, cell in batch if isinstance(cell, Cell)]
            shapes: dict[int, NDArray[np.uint8]] = {}
            if good:
                drawn = method.reconstruct([cell for _, cell in good], store.num_samples, job.seed)
                shapes = dict(zip((place for place, _ in good), drawn, strict=True))
            rows = [(place, _row(refs[place], cell, method, folder), cell) for place, cell in batch]
            writer.put(draft, [(place, row, cell, shapes.get(place)) for place, row, cell in rows])
            failed = [(refs[place].name, str(cell)) for place, cell in batch if not isinstance(cell, Cell)]
            events.reconstructed(len(good), failed)
    finally:
        # After an interruption too: cells still pending are left to the next run.
        writer.write(draft)
        return_free_memory()


def _is_open(row: CellRow, retry_failed: bool) -> bool:
    return not row.is_done and (retry_failed or not row.is_failed)


def _row(ref: CellRef, cell: Cell | CellError, method: Method, folder: Path | None) -> CellRow:
    row = CellRow(
        name=ref.name,
        source=named_from(folder, ref.image),
        label=ref.label,
        bounding_box=ref.bounding_box,
        touches_border=ref.touches_border,
        source_shape=ref.shape if all(ref.shape) else None,
    )
    if isinstance(cell, Cell):
        return replace(
            row,
            voxel_size_um=cell.voxel_size_um,
            voxel_size_px=ref.voxel_size_px,
            scaled=ref.scaled,
            made_from=cell.made_from,
            learned=method.learned_from(cell),
            status=DONE,
        )
    return replace(row, status=f"{FAILED}{cell}")


Reconstructed = tuple[int, CellRow, Cell | CellError, NDArray[np.uint8] | None]
"""Place in the shard, row, cell as it was read, and samples where there are any."""


class ShardWriter:
    """Measures and compresses cells and writes shards in the background; if much waits, so does the caller.

    Parameters
    ----------
    area
        As in :class:`Job`.
    trust
        What was measured of the method's weights; None leaves its columns empty.
    """

    def __init__(self, store: VolumeStore, area: Area | None = None, trust: Trust | None = None) -> None:
        self._store, self._area, self._trust = store, area, trust
        share_arenas()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="dispr-write")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> ShardWriter:
        return self

    def put(self, draft: ShardDraft, cells: Sequence[Reconstructed]) -> None:
        """Hand over some cells of a shard; their arrays must not be touched again."""
        self._submit(partial(self._put, draft, cells))

    def _put(self, draft: ShardDraft, cells: Sequence[Reconstructed]) -> None:
        for place, row, cell, samples in cells:
            if samples is not None:
                row = described(row, cell, samples, self._area, self._trust)
            draft.put(place, row, samples)

    def write(self, draft: ShardDraft) -> None:
        """Hand over a shard, to be written when its cells are compressed."""
        self._submit(partial(self._store.write_draft, draft))

    def _submit(self, work: Callable[[], None]) -> None:
        while len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(work))

    def _wait(self) -> None:
        while self._waiting:
            self._waiting.popleft().result()

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
