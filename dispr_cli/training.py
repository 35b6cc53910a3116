"""Training by the name of a method: a folder of cells with known shapes becomes weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import METHODS, DenoiserConfig, TrainingConfig
from dispr_cli.errors import ConfigError
from dispr_cli.study.folds import assign_folds
from dispr_cli.training_settings import settings_of

if TYPE_CHECKING:
    import torch

    from dispr_cli.diffusion.dataset import TrainingCells
    from dispr_cli.diffusion.resumable_run import TrainingEvents

PUBLISHED_TOPOLOGY_WEIGHT = 0.1
"""Weight of the topological loss in SHAPR + topology (arXiv 2203.01703)."""


class TrainingWatcher(Protocol):
    """Who follows a training."""

    def message(self, text: str) -> None:
        """Take a sentence worth knowing."""

    def progress(self, step: Any) -> None:
        """Take one optimiser step, see :class:`dispr_cli.diffusion.resumable_run.Progress`."""

    def held_out(self, step: Any, metrics: Any) -> None:
        """Take the metrics on held-out cells, see :class:`dispr_cli.diffusion.resumable_run.HeldOut`."""


@dataclass(frozen=True)
class TrainingJob:
    """What every method's training is given.

    Attributes
    ----------
    learned, held_out
        Cells to learn from, and cells kept out of the training for the metrics.
    out
        Weights to write.
    values
        Settings by name: those of a TOML file, then those of the command line.
    init
        Weights to start from: ``default``, a path, or None for random ones.
    data
        Name of the folder, for the record.
    events
        Who is told how it goes.
    """

    learned: TrainingCells
    held_out: TrainingCells | None
    out: Path
    values: Mapping[str, Any]
    init: str | None
    data: str
    events: TrainingWatcher

    def announce(self, device: torch.device, autocast: torch.dtype | None) -> None:
        """Say how many cells are learned from, and on what."""
        from dispr_cli.diffusion.device import describe

        held = 0 if self.held_out is None else len(self.held_out)
        self.events.message(
            f"{len(self.learned)} cells to learn from, {held} held out; {describe(device, autocast)}"
        )

    def heard(self) -> TrainingEvents:
        """Whom a training tells what."""
        from dispr_cli.diffusion.resumable_run import TrainingEvents

        return TrainingEvents(
            self.events.progress,
            self.events.held_out,
            resumed=lambda examples: self.events.message(f"going on after {examples:,} examples"),
        )


def train_on_folder(
    method: str,
    data: Path,
    out: Path,
    values: Mapping[str, Any],
    init: str | None,
    events: TrainingWatcher,
) -> None:
    """Train a method on the cells of a folder, or go on with a training that was stopped.

    Parameters
    ----------
    method
        One of :data:`TRAINED`.
    data
        Folder with ``image/``, ``mask/`` and ``obj/``.
    out
        Weights to write.
    values
        Settings by name; each method has its own, see :class:`dispr_cli.config.TrainingConfig` for ours.
    init
        ``default`` starts from the shipped weights, a path from those; None from random ones.
    events
        Who is told how it goes.

    Raises
    ------
    DisprError
        If the folder, the settings or the weights to start from cannot be used.
    """
    from dispr_cli.diffusion.folder import read_training_cells
    from dispr_cli.diffusion.processes import launched

    if method not in TRAINED:
        raise ConfigError(f"--method {method} is not trained; those that are: {', '.join(TRAINED)}")
    if method != METHODS[0] and launched().count > 1:
        raise ConfigError(f"--method {method} is trained by one process: call dispr without torchrun")
    cells = read_training_cells(
        data, skipped=lambda name, error: events.message(f"Left out: {name}: {error}")
    )
    fraction = values.get("validation_fraction", TrainingConfig().validation_fraction)
    held = split_held_out(cells.names, fraction)
    learned = cells.select(np.flatnonzero(~held))
    held_out = cells.select(np.flatnonzero(held)) if held.any() else None
    TRAINED[method](TrainingJob(learned, held_out, out, values, init, data.name, events))


def split_held_out(names: Sequence[str], fraction: float) -> NDArray[np.bool_]:
    """Choose the cells held out of a training, by cell and stratified by class; (len(names),) bool."""
    if fraction <= 0.0 or len(names) < 4:
        return np.zeros(len(names), np.bool_)
    return assign_folds(tuple(names), max(2, round(1.0 / fraction))) == 0


def _train_ours(job: TrainingJob) -> None:
    from dispr_cli.diffusion.checkpoint import load_denoiser
    from dispr_cli.diffusion.device import choose_autocast, choose_device
    from dispr_cli.diffusion.processes import joined
    from dispr_cli.diffusion.training_run import train_denoiser
    from dispr_cli.trust_measurement import measure_trust

    config = settings_of(TrainingConfig, job.values)
    device = choose_device(config.device)
    autocast = choose_autocast(device, config.precision)
    start = None
    if job.init is not None:
        start = load_denoiser(None if job.init == "default" else Path(job.init)).denoiser
    with joined(device) as processes:
        if processes.is_first:
            job.announce(device, autocast)
        train_denoiser(
            job.learned,
            job.out,
            config,
            start.config if start is not None else DenoiserConfig(),
            device=device,
            autocast=autocast is not None,
            held_out=job.held_out,
            start_from=start,
            provenance={"data": job.data, "init": job.init or "random"},
            events=job.heard(),
            finish=partial(measure_trust, job.out, job.learned, job.held_out, device, job.events.message),
            processes=processes,
        )


def _train_dispr2022(job: TrainingJob) -> None:
    from dispr_cli.baselines.dispr2022.settings import Dispr2022Config
    from dispr_cli.baselines.dispr2022.training import train_dispr2022
    from dispr_cli.baselines.dispr2022.weights import load_dispr2022
    from dispr_cli.diffusion.device import choose_autocast, choose_device

    if job.init == "default":
        raise ConfigError(
            "--init default means our own weights; dispr2022 starts from a FILE of its own, or nothing"
        )
    config = settings_of(Dispr2022Config, job.values)
    device = choose_device(config.device)
    autocast = choose_autocast(device, config.precision)
    job.announce(device, autocast)
    train_dispr2022(
        job.learned,
        job.out,
        config,
        device=device,
        autocast=autocast is not None,
        held_out=job.held_out,
        start_from=None if job.init is None else load_dispr2022(Path(job.init)).network,
        provenance={"method": "dispr2022", "data": job.data, "init": job.init or "random"},
        events=job.heard(),
    )


def _train_shapr(method: str, topology_weight: float) -> Callable[[TrainingJob], None]:
    def train(job: TrainingJob) -> None:
        from dispr_cli.baselines.shapr.settings import ShaprConfig
        from dispr_cli.baselines.shapr.training import train_shapr
        from dispr_cli.diffusion.device import choose_autocast, choose_device

        _refuse_init(method, job)
        config = settings_of(ShaprConfig, {"topology_weight": topology_weight, **job.values})
        device = choose_device(config.device)
        autocast = choose_autocast(device, config.precision)
        job.announce(device, autocast)
        train_shapr(
            job.learned,
            job.out,
            config,
            device=device,
            autocast=autocast is not None,
            held_out=job.held_out,
            provenance={"method": method, "data": job.data},
            events=job.heard(),
        )

    return train


def _remember_cells(job: TrainingJob) -> None:
    from dispr_cli.baselines.nearest import make_bank

    _refuse_init("nearest", job)
    held_out = () if job.held_out is None else job.held_out.names
    facts = {"method": "nearest", "data": job.data, "cells": len(job.learned)}
    make_bank(job.learned, held_out).save(job.out, facts)


def _refuse_init(method: str, job: TrainingJob) -> None:
    if job.init is not None:
        raise ConfigError(f"--init is for --method dispr; {method} starts from nothing")


TRAINED: Mapping[str, Callable[[TrainingJob], None]] = {
    "dispr": _train_ours,
    "dispr2022": _train_dispr2022,
    "shapr": _train_shapr("shapr", 0.0),
    "shapr-topo": _train_shapr("shapr-topo", PUBLISHED_TOPOLOGY_WEIGHT),
    "nearest": _remember_cells,
}
"""How each method is trained, by name; the others learn nothing."""
