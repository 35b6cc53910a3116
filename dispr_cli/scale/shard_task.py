"""What a worker of a cluster does: one shard, as one process alone would have done it."""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dispr_cli import __version__
from dispr_cli.diffusion.trust import trust_of
from dispr_cli.errors import DisprError
from dispr_cli.inputs.fields import FieldCache
from dispr_cli.inputs.plan import CellRef
from dispr_cli.method import Method
from dispr_cli.scale.run import run_configuration, take_precision
from dispr_cli.scale.shards import Job, ShardWriter, Silence, reconstruct_shard
from dispr_cli.threads import available_cores
from dispr_cli.volumes.attributes import json_dict
from dispr_cli.volumes.store import VolumeStore, open_store

EXIT_HANGING = 75
"""Exit code of a worker process that ended itself because a shard took too long."""

_loaded: dict[bytes, Method] = {}
_decoded: dict[str, FieldCache] = {}
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class ShardTask:
    """A shard and all that is needed to do it; picklable.

    Attributes
    ----------
    folder
        Where the run was started: its files may be named from there.
    store
        Folder of the store, absolute.
    refs
        The cells of this shard.
    load
        Loads the method.
    run
        Another one for every run: what was decoded for an earlier one may have changed since.
    version
        Of the program that gave the task out.
    timeout
        Seconds after which the worker is taken to hang.
    threads
        CPU threads; None for the machine's, shared by the workers on it.
    workers_per_machine
        How many share a machine.
    """

    folder: Path
    store: Path
    shard: int
    refs: tuple[CellRef, ...]
    load: Callable[[], Method]
    job: Job
    run: str
    version: str
    timeout: float
    threads: int | None = None
    workers_per_machine: int = 1


@dataclass(slots=True)
class ShardReport:
    """How a shard went: cells done, and those that failed with their reasons."""

    shard: int
    done: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


class _Recorder(Silence):
    def __init__(self, shard: int) -> None:
        self.report = ShardReport(shard)

    def reconstructed(self, done: int, failed: Sequence[tuple[str, str]]) -> None:
        """Add a batch."""
        self.report.done += done
        self.report.failed += failed


def do_shard(task: ShardTask) -> ShardReport:
    """Reconstruct one shard and write it into the store.

    Raises
    ------
    DisprError
        If this worker has another version, other weights or another precision than the run, or cannot
        write the store.
    """
    if task.version != __version__:
        raise DisprError(f"a worker has dispr {__version__}, the run has {task.version}: install the same")
    # A network and the buffers of its kernels serve one thread at a time.
    with _one_at_a_time, _ended_after(task.timeout), _in_folder(task.folder):
        method = _method(task.load)
        _set_threads(task)
        store = open_store(task.store)
        take_precision(method, store.configuration)
        _check_same(store, method, task.job)
        recorder = _Recorder(task.shard)
        with ShardWriter(store, task.job.area, trust_of(method)) as writer:
            fields = _fields(task)
            reconstruct_shard(store, task.shard, task.refs, method, task.job, recorder, writer, fields)
    return recorder.report


def _method(load: Callable[[], Method]) -> Method:
    key = pickle.dumps(load)
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = load()
    return _loaded[key]


def _fields(task: ShardTask) -> FieldCache:
    if task.run not in _decoded:
        _decoded.clear()
        _decoded[task.run] = FieldCache(task.job.inputs)
    return _decoded[task.run]


def _check_same(store: VolumeStore, method: Method, job: Job) -> None:
    here = json_dict(run_configuration(method, job.inputs, store.num_samples, job.seed))
    differing = sorted(
        key
        for key in here.keys() | store.configuration.keys()
        if here.get(key) != store.configuration.get(key)
    )
    if differing:
        raise DisprError(
            f"a worker would not compute what the store holds, it differs in {', '.join(differing)}: give "
            "the workers the same weights, and the run --device and --precision that all of them have"
        )


def _set_threads(task: ShardTask) -> None:
    if "torch" not in sys.modules:
        return  # The method needs none.
    import torch

    # Dask sets OMP_NUM_THREADS in its workers, so what it says there is nobody's wish.
    torch.set_num_threads(task.threads or max(1, available_cores() // task.workers_per_machine))


@contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    try:
        with chdir(folder):
            yield
    except FileNotFoundError as error:
        if folder.is_dir():
            raise
        raise DisprError(
            f"a worker does not see the folder {folder}, where the run was started: input, weights and store "
            "must lie on a file system that all workers share"
        ) from error


@contextmanager
def _ended_after(seconds: float) -> Iterator[None]:
    """End this process if the block takes longer: a hanging thread cannot be stopped, a process can.

    The scheduler then gives the shard to another worker.
    """

    def end() -> None:
        print(f"dispr: a shard took more than {seconds:.0f} s, this worker ends itself", file=sys.stderr)
        sys.stderr.flush()
        os._exit(EXIT_HANGING)

    watchdog = threading.Timer(seconds, end)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()
