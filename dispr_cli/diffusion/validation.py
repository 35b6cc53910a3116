"""Metrics of a denoiser on held-out cells while it is trained: a few of them, as a user would draw them."""

from __future__ import annotations

import numpy as np
import torch

from dispr_cli.config import SamplerConfig
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.denoiser import VolumeDenoiser
from dispr_cli.diffusion.drawing import draw_fields
from dispr_cli.diffusion.held_out_metrics import HeldOut, measured
from dispr_cli.diffusion.representation import to_field

VALIDATION_CELLS = 32


def validate(denoiser: VolumeDenoiser, held_out: TrainingCells, device: torch.device) -> HeldOut:
    """Sample held-out cells twice each and compare with the truth."""
    count = min(len(held_out), VALIDATION_CELLS)
    index = np.linspace(0, len(held_out) - 1, count).astype(np.int64)
    examples = held_out.examples(index, device)
    clip = denoiser.config.clip_distance
    truth = to_field(examples.distance, clip) > 0
    drawn = []
    with torch.inference_mode():
        condition = denoiser.encode(examples.image, examples.outline)
        for draw in range(2):
            generator = torch.Generator().manual_seed(draw)

            def noise(generator: torch.Generator = generator) -> torch.Tensor:
                return torch.randn(truth.shape, generator=generator).to(device)

            drawn.append(draw_fields(denoiser, condition, noise, SamplerConfig()) > 0)
    return measured(truth, *drawn)
