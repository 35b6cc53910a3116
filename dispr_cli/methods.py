"""Every method by its name: ours, and the peers behind the same interface."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dispr_cli.config import ReconstructConfig, SamplerConfig
from dispr_cli.errors import ConfigError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Collection

    from dispr_cli.diffusion.reconstruction import DiffusionMethod
    from dispr_cli.held_out import HeldOutMethod
    from dispr_cli.method import Method

OURS = "dispr"


def silent(message: str) -> None:
    """Hear a message and say nothing."""


@dataclass(frozen=True, slots=True)
class MethodOptions:
    """What a user may choose of a method; None leaves it to the method.

    Attributes
    ----------
    weights
        A file, or a folder with one file for each fold: then every cell is reconstructed by the network that
        was not trained on it.
    sampler, num_steps
        How samples are drawn (``dispr`` and ``dispr2022``).
    independent
        Whether the samples of a cell are independent of each other; those of ``dispr`` balance otherwise.
    spread
        How different the samples of ``dispr`` are, see :class:`dispr_cli.config.SamplerConfig`.
    variant
        Height of ``cylinder`` and ``ellipsoid``; ``copy`` or ``mean-of-5`` of ``nearest``.
    run
        Device and precision are read from it.
    """

    weights: Path | None = None
    sampler: str | None = None
    num_steps: int | None = None
    independent: bool | None = None
    spread: float | None = None
    variant: str | None = None
    run: ReconstructConfig = dataclasses.field(default_factory=ReconstructConfig)


def load_denoiser(
    weights: Path | str | None = None,
    sampler: SamplerConfig | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    notify: Callable[[str], None] = silent,
) -> DiffusionMethod:
    """Load our denoiser, ready to reconstruct.

    Parameters
    ----------
    weights
        A file written by ``dispr train``; the shipped weights if None.
    sampler
        How samples are drawn; the default is the measured best.
    device
        ``cpu``, ``cuda`` or ``mps``; ``auto`` takes the fastest that is there.
    precision
        ``fp32`` or ``bf16``; ``auto`` takes the fastest that the device computes in.
    notify
        Called with a sentence when something worth knowing happens, such as a batch that is halved.

    Raises
    ------
    WeightsError, ConfigError
        If the weights cannot be used, the device is not there, or there is no such device or precision.
    """
    from dispr_cli.diffusion.checkpoint import load_denoiser as read_denoiser
    from dispr_cli.diffusion.device import choose_device
    from dispr_cli.diffusion.reconstruction import DiffusionMethod

    run = ReconstructConfig(device=device, precision=precision)
    there = choose_device(run.device)
    checkpoint = read_denoiser(Path(weights) if weights is not None else None)
    return DiffusionMethod(checkpoint, sampler or SamplerConfig(), there, run.precision, notify)


def load_method(
    name: str, options: MethodOptions | None = None, notify: Callable[[str], None] = silent
) -> Method:
    """Load any method, ready to reconstruct; see :func:`load_with_held_out`."""
    return load_with_held_out(name, options, notify)[0]


Loaded = tuple["Method", "Collection[str]"]
"""A method, and the names of the cells kept out of its training."""


def load_with_held_out(
    name: str, options: MethodOptions | None = None, notify: Callable[[str], None] = silent
) -> Loaded:
    """Load any method, and the names of the cells that its weights record as held out.

    Parameters
    ----------
    name
        One of :data:`METHODS`.
    options
        What was chosen for it.
    notify
        Called with a sentence worth knowing.

    Raises
    ------
    ConfigError
        If there is no such method, or it cannot do what was chosen.
    WeightsError
        If its weights are missing or cannot be used.
    """
    if name not in METHODS:
        raise ConfigError(f"there is no method {name!r}: expected one of {', '.join(METHODS)} (--method)")
    options = options or MethodOptions()
    _refuse_what_means_nothing(name, options)
    if options.weights is not None and options.weights.is_dir():
        folds = _held_out(name, options, options.weights, notify)
        return folds, folds.covered
    return METHODS[name](options, notify)


def _ours(options: MethodOptions, notify: Callable[[str], None]) -> Loaded:
    sampler = _sampler(options, SamplerConfig())
    method = load_denoiser(
        options.weights,
        sampler,
        device=options.run.device,
        precision=options.run.precision,
        notify=notify,
    )
    return method, method.checkpoint.provenance.get("held_out", ())


def _dispr2022(options: MethodOptions, notify: Callable[[str], None]) -> Loaded:
    from dispr_cli.baselines.dispr2022.method import Dispr2022Method
    from dispr_cli.baselines.dispr2022.settings import PUBLISHED_SAMPLER
    from dispr_cli.baselines.dispr2022.weights import load_dispr2022
    from dispr_cli.diffusion.device import choose_device

    weights = load_dispr2022(_required("dispr2022", options))
    sampler, run = _sampler(options, PUBLISHED_SAMPLER), options.run
    method = Dispr2022Method(weights, choose_device(run.device), sampler, run.precision, notify)
    return method, weights.provenance.get("held_out", ())


def _shapr(name: str) -> Callable[[MethodOptions, Callable[[str], None]], Loaded]:
    def load(options: MethodOptions, notify: Callable[[str], None]) -> Loaded:
        from dispr_cli.baselines.shapr.method import ShaprMethod, load_shapr
        from dispr_cli.diffusion.device import choose_device

        weights = load_shapr(_required(name, options))
        method = ShaprMethod(weights, choose_device(options.run.device), name)
        return method, weights.provenance.get("held_out", ())

    return load


def _cylinder(options: MethodOptions, notify: Callable[[str], None]) -> Loaded:
    from dispr_cli.baselines.geometric import cylinder

    return cylinder(options.variant or "published"), ()


def _ellipsoid(options: MethodOptions, notify: Callable[[str], None]) -> Loaded:
    from dispr_cli.baselines.geometric import ellipsoid

    return ellipsoid(options.variant or "published"), ()


def _inflate(options: MethodOptions, notify: Callable[[str], None]) -> Loaded:
    from dispr_cli.baselines.geometric import inflate

    return inflate(), ()


def _nearest(options: MethodOptions, notify: Callable[[str], None]) -> Loaded:
    from dispr_cli.baselines.nearest import NearestMethod, read_bank

    neighbours = {None: 1, "copy": 1, "mean-of-5": 5}
    if options.variant not in neighbours:
        raise ConfigError(f"--variant {options.variant!r} is not one of nearest: expected copy or mean-of-5")
    bank = read_bank(_required("nearest", options))
    return NearestMethod(bank, neighbours[options.variant]), bank.provenance.get("held_out", ())


METHODS: Mapping[str, Callable[[MethodOptions, Callable[[str], None]], Loaded]] = {
    OURS: _ours,
    "dispr2022": _dispr2022,
    "shapr": _shapr("shapr"),
    "shapr-topo": _shapr("shapr-topo"),
    "cylinder": _cylinder,
    "ellipsoid": _ellipsoid,
    "inflate": _inflate,
    "nearest": _nearest,
}
"""How each method is loaded, by the name that ``--method`` and the tables write."""

_MEANT_FOR = {
    "sampler": ({OURS, "dispr2022"}, "--sampler"),
    "num_steps": ({OURS, "dispr2022"}, "--steps"),
    "independent": ({OURS}, "--independent"),
    "spread": ({OURS}, "--spread"),
    "variant": ({"cylinder", "ellipsoid", "nearest"}, "--variant"),
    "weights": ({OURS, "dispr2022", "shapr", "shapr-topo", "nearest"}, "--weights"),
}


def _refuse_what_means_nothing(name: str, options: MethodOptions) -> None:
    for field, (methods, option) in _MEANT_FOR.items():
        if getattr(options, field) is not None and name not in methods:
            raise ConfigError(
                f"{option} means nothing to --method {name}; it is for {', '.join(sorted(methods))}"
            )


def _sampler(options: MethodOptions, default: SamplerConfig) -> SamplerConfig:
    return SamplerConfig(
        default.sampler if options.sampler is None else options.sampler,
        default.num_steps if options.num_steps is None else options.num_steps,
        balance=1 if options.independent else default.balance,
        spread=default.spread if options.spread is None else options.spread,
    )


def _required(name: str, options: MethodOptions) -> Path:
    if options.weights is None:
        raise WeightsError(
            f"--method {name} has no weights of its own to go by: give --weights FILE, made by "
            f"'dispr train DATA --method {name} --out FILE'"
        )
    return options.weights


def _held_out(
    name: str, options: MethodOptions, folder: Path, notify: Callable[[str], None]
) -> HeldOutMethod:
    from dispr_cli.diffusion.training_facts import fold_files
    from dispr_cli.held_out import HeldOutMethod

    files = fold_files(folder)
    loaded = {path.name: METHODS[name](dataclasses.replace(options, weights=path), notify) for path in files}
    members = {path: method for path, (method, _) in loaded.items()}
    return HeldOutMethod(members, {path: names for path, (_, names) in loaded.items()})
