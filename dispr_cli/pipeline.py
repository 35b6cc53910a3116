"""The whole flow on one page: folder -> cells -> volumes -> store."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import GRID, ReconstructConfig
from dispr_cli.errors import ConfigError, DisprError
from dispr_cli.inputs import plan as planning
from dispr_cli.inputs.cell import Cell
from dispr_cli.inputs.plan import Plan, plan_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.method import Method
from dispr_cli.ordered_work import batched
from dispr_cli.scale.parts import WHOLE, Part
from dispr_cli.scale.run import finish_part, open_run
from dispr_cli.scale.shards import Events, Job, Silence, reconstruct_shards
from dispr_cli.shape.unmeshed_area import unmeshed_area
from dispr_cli.volumes.cells import Progress
from dispr_cli.volumes.store import VolumeStore

CELLS_AT_ONCE = {"cpu": 4, "mps": 8, "cuda": 32}
"""About so many cells are handed to the method in one call, by device; ``--batch-size`` says otherwise."""


def choose_cells_at_once(method: Method, num_samples: int) -> int:
    """Count the cells to hand to the method in one call, so that their samples fill its micro-batches.

    Parameters
    ----------
    method
        Its ``micro_batch`` is the number of volumes in one call of its network.
    num_samples
        Shapes for each cell.

    Returns
    -------
    int
        About :data:`CELLS_AT_ONCE`, or the fewest that leave no place of a micro-batch empty.
    """
    batch = method.micro_batch
    fewest = batch // math.gcd(batch, num_samples)
    return fewest * max(1, CELLS_AT_ONCE[method.device_type] // fewest)


def read_cells(
    source: Path | str,
    settings: InputSettings | None = None,
    *,
    masks: Path | str | None = None,
    on_error: Literal["raise", "warn"] = "raise",
) -> list[Cell]:
    """Read every cell of a folder, a manifest or a file into memory.

    Parameters
    ----------
    source
        See ``docs/formats.md`` for the layouts that are understood.
    settings
        How to read; the defaults if None. ``dispr.InputSettings(channel=1)`` is what ``--channel 1`` is to
        the command.
    masks
        A file or a folder of masks, as ``--masks`` is to the command; None if they are to be found beside the
        images.
    on_error
        What becomes of a cell that cannot be read: its error is raised, or it is left out with a warning.

    Raises
    ------
    InputError
        If the source holds no cells, or `masks` are none or belong to other images.
    CellError
        If one of its cells cannot be read and ``on_error`` is ``raise``.
    """
    if on_error not in ("raise", "warn"):
        raise ConfigError(f"on_error is {on_error!r}: expected 'raise' or 'warn'")
    plan = plan_cells(Path(source), settings, masks=None if masks is None else Path(masks))
    cells = []
    for _, cell in planning.read_cells(plan.cells, settings):
        if isinstance(cell, Cell):
            cells.append(cell)
        elif on_error == "raise":
            raise cell
        else:
            warnings.warn(f"left out: {cell}", stacklevel=2)
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
        Shapes for each cell, from 1 to 1000.
    seed
        Decides, with each cell's pixels, the shapes that come out; from 0 to 2**63 - 1.

    Returns
    -------
    (len(cells), num_samples, 64, 64, 64) uint8 occupancy; the surface lies at 127.5.

    Raises
    ------
    ConfigError
        If `num_samples` or `seed` is no whole number, or beyond its limits.
    """
    run = ReconstructConfig(num_samples, seed)
    batches = batched(cells, choose_cells_at_once(method, run.num_samples))
    parts = [method.reconstruct(batch, run.num_samples, run.seed) for batch in batches]
    return np.concatenate(parts) if parts else np.empty((0, run.num_samples, GRID, GRID, GRID), np.uint8)


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
    part: Part = WHOLE,
    retry_failed: bool = False,
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
    part
        The share of the store's shards to do; other processes do the others.
    retry_failed
        Try again the cells that failed in an earlier run.
    events
        Who is told how it goes.

    Returns
    -------
    The store and the counts of done, failed and pending cells of this part. The table is assembled, by
    the part that finishes last.

    Raises
    ------
    DisprError
        If the store cannot be written or belongs to a run with other settings. A cell that cannot be read
        is no error here: its row says why.
    """
    events = events or Silence()
    job = Job(inputs, seed, cells_at_once, retry_failed, unmeshed_area, plan.source)
    store = open_run(plan, out, method, job, num_samples, overwrite=overwrite, workers=part.count, part=part)
    own = part.shards_of(store.grid.num_shards)
    before = store.progress(own)
    events.started(
        store, Progress(before.done, 0, before.failed + before.pending) if retry_failed else before
    )
    try:
        pending = store.pending_shards(own, retry_failed=retry_failed)
        reconstruct_shards(store, plan.cells, pending, method, job, events)
    except BaseException:
        # The error that ended the run is the one to show, not the table that could not be written either.
        with suppress(DisprError):
            finish_part(store, part)
        raise
    finish_part(store, part)
    return store, store.progress(own)
