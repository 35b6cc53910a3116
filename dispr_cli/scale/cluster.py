"""A run shared out by Dask: one task per shard, done by any worker that sees the same folders.

The store is the truth about what is finished. So a worker that dies, hangs or loses the scheduler
costs the shards it had in hand, which are given out again, and nothing else.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from dispr_cli import __version__
from dispr_cli.errors import DisprError
from dispr_cli.inputs.plan import CellRef, Plan
from dispr_cli.method import Method
from dispr_cli.scale.connection import LOST, Connection, connected
from dispr_cli.scale.parts import WHOLE
from dispr_cli.scale.run import finish_part, open_run
from dispr_cli.scale.shard_task import ShardTask, do_shard
from dispr_cli.scale.shards import Events, Job, Silence
from dispr_cli.volumes.cells import Progress
from dispr_cli.volumes.store import VolumeStore

if TYPE_CHECKING:
    from distributed import Client, Future, as_completed

_FRUITLESS_ROUNDS = 3
"""Times in a row that all pending shards are given out without one of them being finished."""

_LOOK_EVERY = 0.05
"""Seconds between looks at what was finished."""

_SHARDS_PER_WORKER = 4
"""At least so many in a new store, so that the last ones to finish leave few workers idle."""


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Where and how patiently a run is shared out.

    Attributes
    ----------
    address
        Of a Dask scheduler (``tcp://host:8786``) or its file, or ``local:N`` for N processes here.
    shard_timeout
        Seconds after which a worker that still has the same shard in hand is ended.
    threads
        CPU threads of each worker; by default the cores of a machine are shared by its workers.
    """

    address: str
    shard_timeout: float = 1800.0
    threads: int | None = None

    def __post_init__(self) -> None:
        if not 1.0 <= self.shard_timeout < float("inf"):
            raise DisprError(f"--shard-timeout is {self.shard_timeout}: expected at least 1 second")


def reconstruct_on_cluster(
    plan: Plan,
    out: Path,
    load: Callable[[], Method],
    job: Job,
    num_samples: int,
    options: ClusterOptions,
    *,
    overwrite: bool = False,
    events: Events | None = None,
    notify: Callable[[str], None] = lambda message: None,
) -> tuple[VolumeStore, Progress]:
    """Reconstruct planned cells into a store with the workers of a Dask cluster.

    Parameters
    ----------
    plan
        Its files must be visible to the workers under the same names, and so must `out`.
    load
        Loads the method; picklable, called once in every worker.
    notify
        Called with a sentence when workers are lost or waited for.

    Returns
    -------
    The store, its table assembled, and the counts of done, failed and pending cells.

    Raises
    ------
    DisprError
        If the cluster cannot be reached, a worker has another version or other weights, shards cannot be
        finished by any worker, or the store cannot be written.
    """
    events, job = events or Silence(), replace(job, source=plan.source)
    with connected(options.address, notify) as connection:
        method, _ = load(), connection.client
        shards = _SHARDS_PER_WORKER * connection.workers
        store = open_run(plan, out, method, job, num_samples, overwrite=overwrite, workers=shards)
        events.started(store, store.progress())
        run = _Run(store, plan.cells, load, job, options, events, notify)
        try:
            _until_finished(run, connection)
        except BaseException:
            # The error that ended the run is the one to show.
            with contextlib.suppress(DisprError):
                finish_part(store, WHOLE)
            raise
    finish_part(store, WHOLE)
    return store, store.progress()


@dataclass(frozen=True)
class _Run:
    store: VolumeStore
    refs: Sequence[CellRef]
    load: Callable[[], Method]
    job: Job
    options: ClusterOptions
    events: Events
    notify: Callable[[str], None]
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def task(self, shard: int, workers_per_machine: int) -> ShardTask:
        cells = self.store.grid.cells_of(shard)
        return ShardTask(
            folder=Path.cwd(),
            store=self.store.path.absolute(),
            shard=shard,
            refs=tuple(self.refs[cells.start : cells.stop]),
            load=self.load,
            job=self.job,
            run=self.name,
            version=__version__,
            timeout=self.options.shard_timeout,
            threads=self.options.threads,
            workers_per_machine=workers_per_machine,
        )


def _until_finished(run: _Run, connection: Connection) -> None:
    fruitless, came_back = 0, set[int]()
    pending = run.store.pending_shards(retry_failed=run.job.retry_failed)
    while pending:
        came_back |= _one_round(run, connection, pending)
        left = _left(run, pending, came_back)
        fruitless = 0 if len(left) < len(pending) else fruitless + 1
        if fruitless == _FRUITLESS_ROUNDS:
            raise DisprError(
                f"{len(left)} shards (first: {left[0]}) were given out {_FRUITLESS_ROUNDS} times and not "
                "finished: their workers died or were ended. Give workers more memory, or --shard-timeout "
                "more seconds, and run the same command again: what was finished is kept."
            )
        if left:
            run.notify(f"{len(left)} shards came back unfinished and are given out again")
        pending = left


def _left(run: _Run, pending: Sequence[int], came_back: Collection[int]) -> list[int]:
    """List what to give out again: cells that failed again are not tried a third time, lost ones are."""
    left = set(run.store.pending_shards())
    if run.job.retry_failed:
        lost = [shard for shard in pending if shard not in came_back]
        left |= set(run.store.pending_shards(lost, retry_failed=True))
    return sorted(left)


def _one_round(run: _Run, connection: Connection, shards: Sequence[int]) -> set[int]:
    """Give out shards until each was finished or lost; returns early if the scheduler is.

    Returns
    -------
    The shards that a worker reported on.
    """
    from distributed import as_completed

    came_back = set[int]()
    with contextlib.suppress(*LOST):
        client, waiting = connection.client, iter(shards)
        out = as_completed(loop=client.loop)
        try:
            _fill(run, client, connection, waiting, out)
            while not out.is_empty():
                for future in out.next_batch(block=False):
                    came_back |= _take(run, future)
                _fill(run, client, connection, waiting, out)
                connection.tend()
                time.sleep(_LOOK_EVERY)
        finally:
            with contextlib.suppress(*LOST):
                client.cancel(list(out.futures), force=True)
    return came_back


def _fill(
    run: _Run, client: Client, connection: Connection, waiting: Iterator[int], out: as_completed
) -> None:
    """Keep twice as many shards out as there are workers: enough to be busy, little to be lost."""
    for shard in islice(waiting, max(0, 2 * connection.workers - out.count())):
        task = run.task(shard, connection.workers_per_machine)
        out.add(client.submit(do_shard, task, pure=False))


def _take(run: _Run, future: Future) -> set[int]:
    """Tell of a shard that came back; the shard, or none if it was lost."""
    from distributed import KilledWorker

    try:
        report = future.result()
    except KilledWorker as error:
        run.notify(f"a shard is set aside, its workers died one after the other ({error.last_worker})")
    except CancelledError:
        pass
    except LOST as error:
        # Where a shard has failed, its error is the worker's own and no sign that the scheduler is gone.
        if future.status != "error":
            raise
        raise DisprError(
            f"a worker could not do its shard ({type(error).__name__}: {error}); when that is mended, run "
            "the same command again: what was finished is kept."
        ) from error
    else:
        run.events.reconstructed(report.done, report.failed)
        return {report.shard}
    finally:
        future.release()
    return set()
