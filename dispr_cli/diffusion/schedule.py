"""Noise levels that a sampler visits, as sigma of the variance-exploding convention x = x0 + sigma n.

A flow time t (x_t = (1 - t) x0 + t n) is the same thing scaled: sigma = t / (1 - t).
"""

from __future__ import annotations

import torch


def log_sigmas(num_steps: int, sigma_min: float, sigma_max: float) -> torch.Tensor:
    """Noise levels evenly spaced in ln(sigma), then 0.

    Returns
    -------
    (num_steps + 1,) float64, falling; a single step is the one at ``sigma_max``.
    """
    ends = torch.tensor([sigma_max, sigma_min], dtype=torch.float64).log()
    ramp = torch.linspace(0.0, 1.0, num_steps, dtype=torch.float64)
    levels = (ends[0] + ramp * (ends[1] - ends[0])).exp()
    return torch.cat([levels, torch.zeros(1, dtype=torch.float64)])


def flow_time(sigma: torch.Tensor) -> torch.Tensor:
    """Flow time t in [0, 1) of a noise level."""
    return sigma / (1.0 + sigma)
