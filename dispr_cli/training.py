"""Training by the name of a method: a folder of cells with known shapes becomes weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dispr_cli.config import FINE_TUNING_RATE, METHODS, DenoiserConfig, TrainingConfig
from dispr_cli.errors import ConfigError
from dispr_cli.training_job import TrainingJob, TrainingWatcher
from dispr_cli.training_settings import settings_of

if TYPE_CHECKING:
    from dispr_cli.baselines.dispr2022.settings import Dispr2022Config
    from dispr_cli.baselines.nearest import NearestConfig
    from dispr_cli.baselines.shapr.settings import ShaprConfig
    from dispr_cli.diffusion.checkpoint import Checkpoint
    from dispr_cli.diffusion.folder import TrainingInput

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
    reading: TrainingInput | None = None,
) -> None:
    """Train a method on the cells of a folder, or go on with a training that was stopped.

    Parameters
    ----------
    method
        One of :data:`TRAINED`.
    data
        Folder with ``image/``, ``mask/`` and ``obj/``, or what ``reading`` makes cells of.
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
    reading
        How cells and their ground truths are read; the defaults if None.

    Raises
    ------
    DisprError
        If the folder, the settings or the weights to start from cannot be used, or ``out`` cannot be written.
    """
    from dispr_cli.diffusion.checkpoint import check_writable
    from dispr_cli.diffusion.processes import launched
    from dispr_cli.training_cells import cells_to_train_on

    if method not in TRAINED:
        raise ConfigError(f"--method {method} is not trained; those that are: {', '.join(TRAINED)}")
    if method != METHODS[0] and launched().count > 1:
        raise ConfigError(f"--method {method} is trained by one process: call dispr without torchrun")
    if never_seen and init is None:
        raise ConfigError("--never-seen is of the weights of --init, and none are given")
    config = SETTINGS[method](values, init)
    check_writable(out)
    found = cells_to_train_on(data, reading, config.validation_fraction, events.message)
    cells = (found.learned, found.held_out)
    TRAINED[method](TrainingJob(*cells, out, config, init, data.name, events, never_seen, found.held_in))


def our_settings(values: Mapping[str, Any], init: str | None) -> TrainingConfig:
    """Build our settings from those named; from trained weights on, the rest of them learns more slowly."""
    slower = {} if init is None else {"learning_rate": FINE_TUNING_RATE}
    return settings_of(TrainingConfig, {**slower, **values})


def _dispr2022_settings(values: Mapping[str, Any], init: str | None) -> Dispr2022Config:
    from dispr_cli.baselines.dispr2022.settings import Dispr2022Config

    if init == "default":
        raise ConfigError(
            "--init default means our own weights; dispr2022 starts from a FILE of its own, or nothing"
        )
    return settings_of(Dispr2022Config, values)


def _shapr_settings(
    method: str, topology_weight: float
) -> Callable[[Mapping[str, Any], str | None], ShaprConfig]:
    def settings(values: Mapping[str, Any], init: str | None) -> ShaprConfig:
        from dispr_cli.baselines.shapr.settings import ShaprConfig

        _refuse_init(method, init)
        return settings_of(ShaprConfig, {"topology_weight": topology_weight, **values})

    return settings


def _nearest_settings(values: Mapping[str, Any], init: str | None) -> NearestConfig:
    from dispr_cli.baselines.nearest import NearestConfig

    _refuse_init("nearest", init)
    return settings_of(NearestConfig, values)


def _refuse_init(method: str, init: str | None) -> None:
    if init is not None:
        raise ConfigError(f"--init is for --method dispr; {method} starts from nothing")


SETTINGS: Mapping[str, Callable[[Mapping[str, Any], str | None], Any]] = {
    "dispr": our_settings,
    "dispr2022": _dispr2022_settings,
    "shapr": _shapr_settings("shapr", 0.0),
    "shapr-topo": _shapr_settings("shapr-topo", PUBLISHED_TOPOLOGY_WEIGHT),
    "nearest": _nearest_settings,
}
"""Settings of each method's training, a dataclass, from those named and the weights to start from.

Each refuses, as a ConfigError, what it does not know or cannot be, and weights that it cannot start from.
"""


def weights_to_start_from(init: str) -> Checkpoint:
    """Read our own weights: ``default`` means those that are shipped."""
    from dispr_cli.diffusion.checkpoint import load_denoiser

    return load_denoiser(None if init == "default" else Path(init))


def _train_ours(job: TrainingJob[TrainingConfig]) -> None:
    from dispr_cli.diffusion.device import choose_autocast, choose_device
    from dispr_cli.diffusion.processes import joined
    from dispr_cli.diffusion.training_run import start_of, train_denoiser
    from dispr_cli.trust_measurement import FEWEST_HELD_OUT, measure_trust

    config, device = job.config, choose_device(job.config.device)
    autocast = choose_autocast(device, config.precision)
    start = None
    if job.init is not None:
        begun = start_of(weights_to_start_from(job.init))
        start = job.start(begun.network, begun.known)
    advice = job.how_to_hold_out(FEWEST_HELD_OUT, start)
    with joined(device) as processes:
        if processes.is_first:
            job.announce(device, autocast, start)
            if advice:
                job.events.message(
                    f"intervals of volume and surface need {FEWEST_HELD_OUT} held-out cells{advice}"
                )
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
            finish=lambda kept: measure_trust(
                job.out, job.learned, kept, device, job.events.message, advice=advice
            ),
            processes=processes,
        )


def _train_dispr2022(job: TrainingJob[Dispr2022Config]) -> None:
    from dispr_cli.baselines.dispr2022.training import train_dispr2022
    from dispr_cli.baselines.dispr2022.weights import load_dispr2022
    from dispr_cli.diffusion.device import choose_autocast, choose_device
    from dispr_cli.diffusion.known_cells import known_cells

    config, device = job.config, choose_device(job.config.device)
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


def _train_shapr(method: str) -> Callable[[TrainingJob[ShaprConfig]], None]:
    def train(job: TrainingJob[ShaprConfig]) -> None:
        from dispr_cli.baselines.shapr.training import train_shapr
        from dispr_cli.diffusion.device import choose_autocast, choose_device

        config, device = job.config, choose_device(job.config.device)
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


def _remember_cells(job: TrainingJob[NearestConfig]) -> None:
    from dispr_cli.baselines.nearest import make_bank
    from dispr_cli.diffusion.known_cells import NOTHING
    from dispr_cli.diffusion.resumable_run import facts_of_cells, never_learned

    kept = never_learned(NOTHING, job.learned, job.held_out)
    facts = {"method": "nearest", "data": job.data, **facts_of_cells(NOTHING, job.learned, kept)}
    make_bank(job.learned, facts).save(job.out)


TRAINED: Mapping[str, Callable[[TrainingJob[Any]], None]] = {
    "dispr": _train_ours,
    "dispr2022": _train_dispr2022,
    "shapr": _train_shapr("shapr"),
    "shapr-topo": _train_shapr("shapr-topo"),
    "nearest": _remember_cells,
}
"""How each method is trained, by name; the others learn nothing."""
