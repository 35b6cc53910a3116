"""A small network for tests; importable, unlike a conftest."""

from __future__ import annotations

import torch

from dispr_cli.config import DenoiserConfig
from dispr_cli.diffusion.denoiser import VolumeDenoiser

TINY = DenoiserConfig(
    channels=(16, 16),
    blocks=(1, 1),
    condition_channels=(16, 16),
    condition_blocks=1,
    embedding=16,
    attention_heads=2,
)


def make_denoiser(seed: int = 0) -> VolumeDenoiser:
    """A small network none of whose weights is zero."""
    torch.manual_seed(seed)
    denoiser = VolumeDenoiser(TINY)
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return denoiser.eval()
