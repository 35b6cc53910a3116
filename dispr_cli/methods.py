"""Every method by its name: ours now, the peers beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dispr_cli.config import ReconstructConfig, SamplerConfig

if TYPE_CHECKING:
    from dispr_cli.diffusion.reconstruction import DiffusionMethod


def load_denoiser(
    weights: Path | str | None = None,
    sampler: SamplerConfig | None = None,
    run: ReconstructConfig | None = None,
    notify: Callable[[str], None] = lambda message: None,
) -> DiffusionMethod:
    """Load our denoiser, ready to reconstruct.

    Parameters
    ----------
    weights
        A file written by ``dispr train``; the shipped weights if None.
    sampler
        How samples are drawn; the default is the measured best.
    run
        Device and precision are read from it.
    notify
        Called with a sentence when something worth knowing happens, such as a batch that is halved.

    Raises
    ------
    WeightsError, ConfigError
        If the weights cannot be used, or the device is not there.
    """
    from dispr_cli.diffusion.checkpoint import load_denoiser as read_denoiser
    from dispr_cli.diffusion.device import choose_device
    from dispr_cli.diffusion.reconstruction import DiffusionMethod

    run = run or ReconstructConfig()
    device = choose_device(run.device)
    checkpoint = read_denoiser(Path(weights) if weights is not None else None)
    return DiffusionMethod(checkpoint, sampler or SamplerConfig(), device, run.precision, notify)
