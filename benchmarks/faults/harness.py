"""What the fault scripts share: cells, a small network, an undisturbed run, processes to kill."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tifffile
import torch

from dispr_cli.config import ReconstructConfig
from dispr_cli.diffusion.checkpoint import save_denoiser
from dispr_cli.inputs.phantoms import PHANTOM_CLASSES, generate_phantoms
from dispr_cli.inputs.plan import Plan, plan_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.method import Method
from dispr_cli.methods import MethodOptions, load_method
from dispr_cli.pipeline import reconstruct_to_store
from dispr_cli.scale.parts import WHOLE, Part
from dispr_cli.scale.run import open_run
from dispr_cli.scale.shards import Job
from dispr_cli.shape.unmeshed_area import unmeshed_area
from dispr_cli.volumes.store import VolumeStore, open_store
from dispr_cli.volumes.verify import verify_store
from tests.diffusion.tiny import make_denoiser

SEED, SAMPLES = 3, 2


@dataclass(frozen=True)
class Bench:
    """A place with everything a trial needs.

    Attributes
    ----------
    folder
        Temporary; removed at the end.
    source
        Folder of phantom cells.
    method
        A network with random weights, one step.
    """

    folder: Path
    source: Path
    weights: Path
    method: Method

    @property
    def plan(self) -> Plan:
        """The cells, found anew."""
        return plan_cells(self.source)

    @property
    def load(self) -> partial[Method]:
        """Loads the method, in this process or another."""
        return loader(self.weights)

    def run(self, out: Path, part: Part = WHOLE, **options: Any) -> VolumeStore:
        """Reconstruct, as the command does."""
        method = options.pop("method", self.method)
        settings: dict[str, Any] = {
            "inputs": InputSettings(),
            "num_samples": SAMPLES,
            "seed": SEED,
            "cells_at_once": 4,
        }
        return reconstruct_to_store(self.plan, out, method, part=part, **(settings | options))[0]

    def create(self, out: Path, shards: int, method: Method | None = None) -> VolumeStore:
        """Create the store of a run with at least so many shards, where the cells allow."""
        job = Job(InputSettings(), SEED, 4, area=unmeshed_area)
        return open_run(self.plan, out, method or self.method, job, SAMPLES, workers=shards)


def loader(weights: Path) -> partial[Method]:
    """Load a small network that takes one step."""
    run = ReconstructConfig(device="cpu", precision="fp32")
    return partial(load_method, "dispr", MethodOptions(weights=weights, num_steps=1, run=run))


@contextmanager
def bench(num_cells: int = 24, folder: Path | None = None) -> Iterator[Bench]:
    """Make cells and weights in a temporary folder."""
    torch.set_num_threads(1)
    place = Path(tempfile.mkdtemp(prefix="dispr-faults-", dir=folder))
    try:
        source = place / "cells"
        for part in ("image", "mask"):
            (source / part).mkdir(parents=True)
        for phantom in generate_phantoms(num_cells, PHANTOM_CLASSES, seed=2):
            tifffile.imwrite(source / "image" / f"{phantom.name}.tif", phantom.image)
            tifffile.imwrite(source / "mask" / f"{phantom.name}.tif", phantom.mask)
        weights = place / "tiny.safetensors"
        save_denoiser(weights, make_denoiser(), {"data": "none"})
        yield Bench(place, source, weights, loader(weights)())
    finally:
        shutil.rmtree(place, ignore_errors=True)


def contents(store: VolumeStore) -> list[bytes]:
    """Return the decoded voxels of every cell, and the table."""
    cells = [store.read(index).tobytes() for index in range(store.num_cells)]
    return [*cells, (store.path / "cells.csv").read_bytes()]


def what_is_lost(out: Path, wanted: list[bytes]) -> str | None:
    """Say what of a finished store is not as in an undisturbed run; None if everything is."""
    store = open_store(out)
    progress = store.progress()
    if progress.pending or progress.failed:
        return f"{progress.pending} cells pending, {progress.failed} failed"
    damages = verify_store(out).damages
    if damages:
        return str(damages[0])
    if contents(store) != wanted:
        return "voxels or table differ from those of an undisturbed run"
    left = [*out.rglob("*.partial"), *out.parent.glob(".*.partial")]
    return f"{left[0]} was left behind" if left else None


def in_a_process(work: Callable[[], object]) -> int:
    """Start work in a forked process, which has everything loaded already; return its id."""
    with warnings.catch_warnings():
        # Newer Pythons warn of locks that other threads may hold; the threads here are idle.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process:
        return process
    code = 1
    try:
        # Its own group, so that nothing it starts outlives it unseen.
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stderr.fileno())
        work()
        code = 0
    finally:
        os._exit(code)


def kill_at(process: int, end: float) -> bool:
    """Kill -9 a process when ``time.monotonic()`` reaches a moment; False if it had ended before."""
    while time.monotonic() < end:
        if os.waitpid(process, os.WNOHANG)[0]:
            return False
        time.sleep(0.001)
    os.kill(process, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(process, 0)[1])


def ended_well(process: int) -> bool:
    """Wait for a process; whether it ended with 0."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
