"""The whole flow on one page: folder -> cells -> volumes -> store.

Reading (a thread pool), the network (this thread) and writing (one thread)
overlap; memory holds two shards at most, however many cells there are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dispr_cli import __version__
from dispr_cli.config import DenoiserConfig, TrainingConfig
from dispr_cli.errors import CellError, DisprError
from dispr_cli.inputs import plan as planning
from dispr_cli.inputs.cell import GRID, Cell
from dispr_cli.inputs.plan import CellRef, Plan, plan_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.method import Method
from dispr_cli.study.folds import assign_folds
from dispr_cli.volumes.cells import Progress
from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.rows import DONE, FAILED, CellRow
from dispr_cli.volumes.store import VolumeStore

Item = TypeVar("Item")

CELLS_AT_ONCE = {"cpu": 4, "mps": 8, "cuda": 32}
"""Cells handed to the method in one call, by device, unless ``--batch-size`` says otherwise."""


class Events(Protocol):
    """What a run tells whoever watches it."""

    def started(self, store: VolumeStore, progress: Progress) -> None:
        """Take the open store; ``progress`` counts what an earlier run left finished."""

    def reconstructed(self, done: int, failed: Sequence[tuple[str, str]]) -> None:
        """Take a finished batch: so many cells done, and the failed ones with their reasons."""


class TrainingWatcher(Protocol):
    """Who follows a training."""

    def message(self, text: str) -> None:
        """Take a sentence worth knowing."""

    def progress(self, step: Any) -> None:
        """Take one optimiser step, see :class:`dispr_cli.diffusion.training.Progress`."""

    def held_out(self, step: Any, metrics: Any) -> None:
        """Take the metrics on held-out cells, see :class:`dispr_cli.diffusion.training_run.HeldOut`."""


class Silence:
    """Events that nobody watches."""

    def started(self, store: VolumeStore, progress: Progress) -> None:
        """Say nothing."""

    def reconstructed(self, done: int, failed: Sequence[tuple[str, str]]) -> None:
        """Say nothing."""


def read_cells(source: Path | str, settings: InputSettings | None = None) -> list[Cell]:
    """Read every cell of a folder, a manifest or a file into memory.

    Parameters
    ----------
    source
        See ``docs/formats.md`` for the layouts that are understood.
    settings
        How to read; the defaults if None.

    Raises
    ------
    InputError
        If the source holds no cells.
    CellError
        If one of its cells cannot be read.
    """
    plan = plan_cells(Path(source), settings)
    cells = []
    for _, cell in planning.read_cells(plan.cells, settings):
        if not isinstance(cell, Cell):
            raise cell
        cells.append(cell)
    return cells


def reconstruct(
    cells: Sequence[Cell], method: Method, num_samples: int = 5, seed: int = 0
) -> NDArray[np.uint8]:
    """Reconstruct cells in memory.

    Parameters
    ----------
    cells
        From :func:`dispr_cli.read_cells`.
    method
        From :func:`dispr_cli.load_denoiser`.
    num_samples
        Shapes for each cell.
    seed
        Decides, with each cell's pixels, the shapes that come out.

    Returns
    -------
    (len(cells), num_samples, 64, 64, 64) uint8 occupancy; the surface lies at 127.5.
    """
    parts = [method.reconstruct(batch, num_samples, seed) for batch in _batched(cells, 8)]
    return np.concatenate(parts) if parts else np.empty((0, num_samples, GRID, GRID, GRID), np.uint8)


def reconstruct_to_store(
    plan: Plan,
    out: Path,
    method: Method,
    *,
    inputs: InputSettings,
    num_samples: int,
    seed: int,
    cells_at_once: int,
    overwrite: bool = False,
    events: Events | None = None,
) -> tuple[VolumeStore, Progress]:
    """Reconstruct planned cells into a store, going on where an earlier run stopped.

    Parameters
    ----------
    plan
        From :func:`dispr_cli.inputs.plan.plan_cells`.
    out
        The store's folder.
    cells_at_once
        Cells handed to the method in one call.
    overwrite
        Remove a store of this program that is there.
    events
        Who is told how it goes.

    Returns
    -------
    The store, its table assembled, and the counts of done, failed and pending cells.

    Raises
    ------
    DisprError
        If the store cannot be written or belongs to a run with other settings. A cell that cannot be read
        is no error here: its row says why.
    """
    events = events or Silence()
    store = create_or_resume(
        out,
        num_cells=len(plan.cells),
        num_samples=num_samples,
        voxel_size_um=plan.voxel_size_um,
        configuration=run_configuration(method, inputs, num_samples, seed),
        cells=[ref.name for ref in plan.cells],
        provenance={"version": __version__, "source": str(plan.source)},
        overwrite=overwrite,
    )
    events.started(store, store.progress())
    try:
        with _ShardWriter(store) as writer:
            for shard in store.pending_shards():
                _reconstruct_shard(plan, store, shard, method, inputs, seed, cells_at_once, events, writer)
    except BaseException:
        # The error that ended the run is the one to show, not the table that could not be written either.
        with suppress(DisprError):
            store.finish()
        raise
    return store, store.finish()


def run_configuration(method: Method, inputs: InputSettings, num_samples: int, seed: int) -> dict[str, Any]:
    """Everything that decides the results of a run; a store is only continued with the same."""
    return {
        **method.identity(),
        "num_samples": num_samples,
        "seed": seed,
        "inputs": dataclasses.asdict(inputs),
    }


def _reconstruct_shard(
    plan: Plan,
    store: VolumeStore,
    shard: int,
    method: Method,
    inputs: InputSettings,
    seed: int,
    cells_at_once: int,
    events: Events,
    writer: _ShardWriter,
) -> None:
    volumes, kept = store.read_shard(shard)
    rows = list(kept)
    first = store.grid.cells_of(shard).start
    pending = [first + i for i, row in enumerate(rows) if not row.is_done and not row.is_failed]
    try:
        for batch in _batched(planning.read_cells(plan.cells, inputs, pending), cells_at_once):
            good = [(index, cell) for index, cell in batch if isinstance(cell, Cell)]
            if good:
                drawn = method.reconstruct([cell for _, cell in good], store.num_samples, seed)
                for (index, _), samples in zip(good, drawn, strict=True):
                    volumes[index - first] = samples
            for index, cell in batch:
                rows[index - first] = _row(plan.cells[index], cell)
            failed = [(plan.cells[i].name, str(cell)) for i, cell in batch if not isinstance(cell, Cell)]
            events.reconstructed(len(good), failed)
    finally:
        # After an interruption too: rows still pending keep their cells for the next run.
        writer.put(shard, volumes, rows)


def _row(ref: CellRef, cell: Cell | CellError) -> CellRow:
    return CellRow(
        name=ref.name,
        source=str(ref.image),
        label=ref.label,
        bounding_box=ref.bounding_box,
        touches_border=ref.touches_border,
        voxel_size_um=cell.voxel_size_um if isinstance(cell, Cell) else None,
        status=DONE if isinstance(cell, Cell) else f"{FAILED}{cell}",
    )


def train_on_folder(
    data: Path, out: Path, config: TrainingConfig, init: str | None, events: TrainingWatcher
) -> None:
    """Train a denoiser on the cells of a folder.

    Parameters
    ----------
    data
        Folder with ``image/``, ``mask/`` and ``obj/``.
    out
        Weights to write.
    init
        ``default`` starts from the shipped weights, a path from those; None from random ones.
    events
        Who is told how it goes.

    Raises
    ------
    DisprError
        If the folder, the settings or the weights to start from cannot be used.
    """
    from dispr_cli.diffusion.checkpoint import load_denoiser
    from dispr_cli.diffusion.device import choose_autocast, choose_device, describe
    from dispr_cli.diffusion.folder import read_training_cells
    from dispr_cli.diffusion.training_run import TrainingEvents, train_denoiser

    device = choose_device(config.device)
    autocast = choose_autocast(device, config.precision)
    start = None
    if init is not None:
        start = load_denoiser(None if init == "default" else Path(init)).denoiser
    cells = read_training_cells(
        data, skipped=lambda name, error: events.message(f"Left out: {name}: {error}")
    )
    held = split_held_out(cells.names, config.validation_fraction)
    learned = cells.select(np.flatnonzero(~held))
    events.message(f"{len(learned)} cells to learn from, {held.sum()} held out; {describe(device, autocast)}")
    train_denoiser(
        learned,
        out,
        config,
        start.config if start is not None else DenoiserConfig(),
        device=device,
        autocast=autocast is not None,
        held_out=cells.select(np.flatnonzero(held)) if held.any() else None,
        start_from=start,
        provenance={"data": data.name, "init": init or "random"},
        events=TrainingEvents(events.progress, events.held_out),
    )


def split_held_out(names: Sequence[str], fraction: float) -> NDArray[np.bool_]:
    """Choose the cells held out of a training, by cell and stratified by class; (len(names),) bool."""
    if fraction <= 0.0 or len(names) < 4:
        return np.zeros(len(names), np.bool_)
    return assign_folds(tuple(names), max(2, round(1.0 / fraction))) == 0


class _ShardWriter:
    """Writes shards in the background, one at a time; the next waits until the last is on disk."""

    def __init__(self, store: VolumeStore) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="dispr-write")
        self._last: Future[None] | None = None

    def __enter__(self) -> _ShardWriter:
        return self

    def put(self, shard: int, volumes: NDArray[np.uint8], rows: Sequence[CellRow]) -> None:
        """Hand over a shard; its arrays must not be touched again."""
        self._wait()
        self._last = self._pool.submit(self._store.write_shard, shard, volumes, rows)

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


def _batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
