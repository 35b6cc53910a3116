"""Fields drawn from a network: the sampler, with what the network's configuration says of the noise."""

from __future__ import annotations

import torch

from dispr_cli.config import DenoiserConfig, SamplerConfig
from dispr_cli.diffusion.denoiser import Condition, VolumeDenoiser
from dispr_cli.diffusion.sampler import Noise, Observer, sample
from dispr_cli.diffusion.schedule import log_sigmas
from dispr_cli.diffusion.sharpening import sharpen


def noise_levels(shape: DenoiserConfig, sampler: SamplerConfig) -> torch.Tensor:
    """Levels that a sampler visits with a network, then 0; (num_steps + 1,)."""
    return log_sigmas(sampler.num_steps, shape.sigma_min, shape.sigma_max)


def draw_fields(
    denoiser: VolumeDenoiser,
    condition: Condition,
    noise: Noise,
    sampler: SamplerConfig,
    observer: Observer | None = None,
) -> torch.Tensor:
    """Draw a field for each row of a condition.

    Parameters
    ----------
    denoiser
        The network; its configuration says from how much noise it starts, down to which level it goes and
        how much the first estimate is sharpened, if others follow it.
    condition
        Of N images.
    noise
        Draws (N, 1, 64, 64, 64) standard normal noise, on the device of the network.
    sampler
        The steps.
    observer
        Called after each of them.

    Returns
    -------
    (N, 1, 64, 64, 64) in [-1, 1]; positive inside.
    """
    shape = denoiser.config
    levels = noise_levels(shape, sampler)
    first = float(levels[0])
    amount = shape.sharpening if sampler.num_steps > 1 else 0.0

    def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
        field = denoiser.denoise(x, sigma, condition)
        return sharpen(field, amount, shape.clip_distance) if sigma == first else field

    x = noise() * (first * shape.spread * sampler.spread)
    observers = {} if observer is None else {"observer": observer}
    return sample(denoise, x, levels, noise, sampler, **observers)
