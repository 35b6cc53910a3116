"""From noise to a volume with the published network: ancestral or DDIM, through all levels or a few."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dispr_cli.baselines.dispr2022.diffusion import Diffusion
from dispr_cli.config import SamplerConfig
from dispr_cli.errors import ConfigError

SAMPLERS = ("ddpm", "ddim")

Network = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(N, 3, D, H, W) and timesteps (N,) -> noise and variance (N, 2, D, H, W)."""

Noise = Callable[[], torch.Tensor]
"""Draws standard normal noise, (N, 1, D, H, W); called at the start and at each step that adds noise."""


def check_sampler(sampler: SamplerConfig) -> SamplerConfig:
    """Refuse samplers that this network was not published with.

    Raises
    ------
    ConfigError
        If the sampler is neither ``ddpm`` nor ``ddim``.
    """
    if sampler.sampler not in SAMPLERS:
        raise ConfigError(
            f"--sampler {sampler.sampler} is not one of dispr2022: expected {' or '.join(SAMPLERS)}"
        )
    return sampler


def tile_condition(image: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Mask and image x mask of each cell, repeated along z.

    Parameters
    ----------
    image, inside
        (N, G, G) with the grid's side G = 64: intensities in [0, 1], and whether a pixel is inside the mask.

    Returns
    -------
    (N, 2, G, G, G), a view without copies along z.
    """
    mask = inside.to(image.dtype)
    return torch.stack([mask, mask * image], 1)[:, :, None].expand(-1, -1, image.shape[-1], -1, -1)


def draw_volumes(
    network: Network, condition: torch.Tensor, diffusion: Diffusion, noise: Noise, sampler: SamplerConfig
) -> torch.Tensor:
    """Draw one volume for each condition.

    Parameters
    ----------
    condition
        (N, 2, D, H, W), from :func:`tile_condition`.
    diffusion
        With as many steps as are to be taken.
    sampler
        Which of :data:`SAMPLERS`, and ``eta`` for ``ddim``.

    Returns
    -------
    (N, 1, D, H, W): occupancy, about 0 outside and 1 inside.
    """
    x = noise()
    ancestral = sampler.sampler == "ddpm"
    for index in reversed(range(len(diffusion.schedule))):
        step = torch.full((len(x),), index, device=x.device)
        output = network(torch.cat([condition, x], 1), diffusion.timesteps[step])
        prediction = diffusion.predict(output, x, step)
        fresh = noise() if index > 0 and (ancestral or sampler.eta > 0.0) else None
        if ancestral:
            x = diffusion.ancestral_step(prediction, step, fresh)
        else:
            x = diffusion.ddim_step(prediction, x, step, sampler.eta, fresh)
    return x
