"""Training by the name of a method: a folder of cells with known shapes becomes weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import FINE_TUNING_RATE, METHODS, DenoiserConfig, TrainingConfig
from dispr_cli.errors import ConfigError
from dispr_cli.study.folds import hold_out
from dispr_cli.training_job import TrainingJob, TrainingWatcher
from dispr_cli.training_settings import settings_of

if TYPE_CHECKING:
    from dispr_cli.baselines.dispr2022.settings import Dispr2022Config
    from dispr_cli.baselines.shapr.settings import ShaprConfig
    from dispr_cli.diffusion.checkpoint import Checkpoint

PUBLISHED_TOPOLOGY_WEIGHT = 0.1
"""Weight of the topological loss in SHAPR + topology (arXiv 2203.01703)."""


def train_on_folder(
    method: str,
    data: Path,
    out: Path,
    values: Mapping[str, Any],
    init: str | None,
    events: TrainingWatcher,
    never_seen: bool = False,
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
    never_seen
        The user says that the weights to start from learned from none of these cells.

    Raises
    ------
    DisprError
        If the folder, the settings or the weights to start from cannot be used, or ``out`` cannot be written.
    """
    from dispr_cli.diffusion.checkpoint import check_writable
    from dispr_cli.diffusion.folder import read_training_cells
    from dispr_cli.diffusion.processes import launched

    if method not in TRAINED:
        raise ConfigError(f"--method {method} is not trained; those that are: {', '.join(TRAINED)}")
    if method != METHODS[0] and launched().count > 1:
        raise ConfigError(f"--method {method} is trained by one process: call dispr without torchrun")
    if never_seen and init is None:
        raise ConfigError("--never-seen is of the weights of --init, and none are given")
    check_writable(out)
    cells = read_training_cells(
        data, skipped=lambda name, error: events.message(f"Left out: {name}: {error}")
    )
    fraction = values.get("validation_fraction", TrainingConfig().validation_fraction)
    held = split_held_out(cells.names, fraction)
    learned = cells.select(np.flatnonzero(~held))
    held_out = cells.select(np.flatnonzero(held)) if held.any() else None
    TRAINED[method](TrainingJob(learned, held_out, out, values, init, data.name, events, never_seen))


def split_held_out(names: Sequence[str], fraction: float) -> NDArray[np.bool_]:
    """Choose the cells held out of a training, by cell and stratified by class; (len(names),) bool.

    The nearest whole number of cells to that share, at least one and not all; none of fewer than four.
    """
    if fraction <= 0.0 or len(names) < 4:
        return np.zeros(len(names), np.bool_)
    count = min(max(1, math.floor(fraction * len(names) + 0.5)), len(names) - 1)
    return hold_out(names, count)


def our_settings(values: Mapping[str, Any], init: str | None) -> TrainingConfig:
    """Build our settings from those named; from trained weights on, the rest of them learns more slowly."""
    slower = {} if init is None else {"learning_rate": FINE_TUNING_RATE}
    return settings_of(TrainingConfig, {**slower, **values})


def _dispr2022_settings(values: Mapping[str, Any], init: str | None) -> Dispr2022Config:
    from dispr_cli.baselines.dispr2022.settings import Dispr2022Config

    return settings_of(Dispr2022Config, values)


def _shapr_settings(topology_weight: float) -> Callable[[Mapping[str, Any], str | None], ShaprConfig]:
    def settings(values: Mapping[str, Any], init: str | None) -> ShaprConfig:
        from dispr_cli.baselines.shapr.settings import ShaprConfig

        return settings_of(ShaprConfig, {"topology_weight": topology_weight, **values})

    return settings


SETTINGS: Mapping[str, Callable[[Mapping[str, Any], str | None], Any]] = {
    "dispr": our_settings,
    "dispr2022": _dispr2022_settings,
    "shapr": _shapr_settings(0.0),
    "shapr-topo": _shapr_settings(PUBLISHED_TOPOLOGY_WEIGHT),
}
"""Settings of each method's training, a dataclass, from those named and the weights to start from."""


def weights_to_start_from(init: str) -> Checkpoint:
    """Read our own weights: ``default`` means those that are shipped."""
    from dispr_cli.diffusion.checkpoint import load_denoiser

    return load_denoiser(None if init == "default" else Path(init))


def _train_ours(job: TrainingJob) -> None:
    from dispr_cli.diffusion.device import choose_autocast, choose_device
    from dispr_cli.diffusion.processes import joined
    from dispr_cli.diffusion.training_run import start_of, train_denoiser
    from dispr_cli.trust_measurement import measure_trust

    config = our_settings(job.values, job.init)
    device = choose_device(config.device)
    autocast = choose_autocast(device, config.precision)
    start = None
    if job.init is not None:
        begun = start_of(weights_to_start_from(job.init))
        start = job.start(begun.network, begun.known)
    with joined(device) as processes:
        if processes.is_first:
            job.announce(device, autocast, start)
        train_denoiser(
            job.learned,
            job.out,
            config,
            start.network.config if start is not None else DenoiserConfig(),
            device=device,
            autocast=autocast is not None,
            held_out=job.held_out,
            start=start,
            provenance={"data": job.data, "init": job.init or "random"},
            events=job.heard(),
            finish=lambda kept: measure_trust(job.out, job.learned, kept, device, job.events.message),
            processes=processes,
        )


def _train_dispr2022(job: TrainingJob) -> None:
    from dispr_cli.baselines.dispr2022.training import train_dispr2022
    from dispr_cli.baselines.dispr2022.weights import load_dispr2022
    from dispr_cli.diffusion.device import choose_autocast, choose_device
    from dispr_cli.diffusion.known_cells import known_cells

    if job.init == "default":
        raise ConfigError(
            "--init default means our own weights; dispr2022 starts from a FILE of its own, or nothing"
        )
    config = _dispr2022_settings(job.values, job.init)
    device = choose_device(config.device)
    autocast = choose_autocast(device, config.precision)
    start = None
    if job.init is not None:
        begun = load_dispr2022(Path(job.init))
        start = job.start(begun.network, known_cells(begun.provenance, begun.sha256, Path(job.init)))
    job.announce(device, autocast, start)
    train_dispr2022(
        job.learned,
        job.out,
        config,
        device=device,
        autocast=autocast is not None,
        held_out=job.held_out,
        start=start,
        provenance={"method": "dispr2022", "data": job.data, "init": job.init or "random"},
        events=job.heard(),
    )


def _train_shapr(method: str) -> Callable[[TrainingJob], None]:
    def train(job: TrainingJob) -> None:
        from dispr_cli.baselines.shapr.training import train_shapr
        from dispr_cli.diffusion.device import choose_autocast, choose_device

        _refuse_init(method, job)
        config = SETTINGS[method](job.values, None)
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
    from dispr_cli.diffusion.known_cells import NOTHING
    from dispr_cli.diffusion.resumable_run import facts_of_cells, never_learned

    _refuse_init("nearest", job)
    kept = never_learned(NOTHING, job.learned, job.held_out)
    facts = {"method": "nearest", "data": job.data, **facts_of_cells(NOTHING, job.learned, kept)}
    make_bank(job.learned, facts).save(job.out)


def _refuse_init(method: str, job: TrainingJob) -> None:
    if job.init is not None:
        raise ConfigError(f"--init is for --method dispr; {method} starts from nothing")


TRAINED: Mapping[str, Callable[[TrainingJob], None]] = {
    "dispr": _train_ours,
    "dispr2022": _train_dispr2022,
    "shapr": _train_shapr("shapr"),
    "shapr-topo": _train_shapr("shapr-topo"),
    "nearest": _remember_cells,
}
"""How each method is trained, by name; the others learn nothing."""
