"""Samplers: from noise to a volume, given any callable that removes noise.

Every sampler has the form ``sample(denoiser, x, sigmas, ...)`` with

- ``denoiser(x, sigma) -> x0``: the expected clean volume, for x = x0 + sigma n;
- ``x``: (N, 1, D, H, W), noise of standard deviation ``sigmas[0]``, or less for samples that differ less;
- ``sigmas``: falling noise levels that end in 0.

The networks are not known here. Euler on a flow x_t = (1 - t) x0 + t n and DDIM
(eta = 0) are the same map once written in sigma, hence one function for both.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Protocol

import torch

from dispr_cli.config import SamplerConfig

Noise = Callable[[], torch.Tensor]
"""Draws fresh noise of the shape of x; called once for each stochastic step."""

Observer = Callable[[float, torch.Tensor, torch.Tensor], None]
"""Called as ``observer(sigma, x, x0)`` after each denoising step."""


class Denoiser(Protocol):
    """The expected clean volume x0 given x = x0 + sigma n."""

    def __call__(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Return x0 of the shape of x."""


def _ignore(sigma: float, x: torch.Tensor, x0: torch.Tensor) -> None:
    """Observe nothing."""


def _towards(x0: torch.Tensor, x: torch.Tensor, sigma: float, sigma_next: float) -> torch.Tensor:
    # The straight line dx/dsigma = (x - x0) / sigma followed from sigma to sigma_next (EDM eq. 3).
    return torch.lerp(x0, x, sigma_next / sigma)


def sample_ddim(
    denoiser: Denoiser,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    noise: Noise,
    eta: float = 0.0,
    observer: Observer = _ignore,
) -> torch.Tensor:
    """DDIM (Song et al., arXiv 2010.02502, eq. 12); eta = 0 is Euler on a flow, eta = 1 is DDPM."""
    levels = sigmas.tolist()
    for sigma, sigma_next in itertools.pairwise(levels):
        x0 = denoiser(x, sigma)
        observer(sigma, x, x0)
        # Posterior variance of the ancestral step in sigma: s'^2 (s^2 - s'^2) / s^2.
        fresh = eta * (sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2) ** 0.5
        kept = (sigma_next**2 - fresh**2) ** 0.5
        x = _towards(x0, x, sigma, kept)
        if fresh > 0.0:
            x = x + fresh * noise()
    return x


def sample_ddpm(
    denoiser: Denoiser,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    noise: Noise,
    observer: Observer = _ignore,
) -> torch.Tensor:
    """Ancestral sampling (Ho et al., arXiv 2006.11239, eq. 6-7), fixed small posterior variance."""
    return sample_ddim(denoiser, x, sigmas, noise, eta=1.0, observer=observer)


def sample_heun(
    denoiser: Denoiser, x: torch.Tensor, sigmas: torch.Tensor, observer: Observer = _ignore
) -> torch.Tensor:
    """Heun's second-order method (Karras et al., arXiv 2206.00364, algorithm 1)."""
    levels = sigmas.tolist()
    for sigma, sigma_next in itertools.pairwise(levels):
        x0 = denoiser(x, sigma)
        observer(sigma, x, x0)
        proposal = _towards(x0, x, sigma, sigma_next)
        if sigma_next > 0.0:
            slope = (x - x0) / sigma
            slope_next = (proposal - denoiser(proposal, sigma_next)) / sigma_next
            x = x + (sigma_next - sigma) * 0.5 * (slope + slope_next)
        else:
            x = proposal
    return x


def sample_dpmpp_2m(
    denoiser: Denoiser, x: torch.Tensor, sigmas: torch.Tensor, observer: Observer = _ignore
) -> torch.Tensor:
    """DPM-Solver++(2M) (Lu et al., arXiv 2211.01095, algorithm 2), in lambda = -ln(sigma)."""
    levels = torch.as_tensor(sigmas, dtype=torch.float64)
    previous: torch.Tensor | None = None
    for i in range(len(levels) - 1):
        sigma, sigma_next = float(levels[i]), float(levels[i + 1])
        x0 = denoiser(x, sigma)
        observer(sigma, x, x0)
        extrapolated = x0
        if previous is not None and sigma_next > 0.0:
            step = float((levels[i] / levels[i + 1]).log())
            last_step = float((levels[i - 1] / levels[i]).log())
            extrapolated = x0 + (x0 - previous) * (step / (2.0 * last_step))
        x = _towards(extrapolated, x, sigma, sigma_next)
        previous = x0
    return x


def sample(
    denoiser: Denoiser,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    noise: Noise,
    config: SamplerConfig,
    observer: Observer = _ignore,
) -> torch.Tensor:
    """Run the sampler that ``config`` names."""
    match config.sampler:
        case "euler":
            return sample_ddim(denoiser, x, sigmas, noise, observer=observer)
        case "ddim":
            return sample_ddim(denoiser, x, sigmas, noise, eta=config.eta, observer=observer)
        case "ddpm":
            return sample_ddpm(denoiser, x, sigmas, noise, observer=observer)
        case "heun":
            return sample_heun(denoiser, x, sigmas, observer=observer)
        case _:
            return sample_dpmpp_2m(denoiser, x, sigmas, observer=observer)
