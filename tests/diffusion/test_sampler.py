"""Samplers against the one problem whose answer is known: Gaussian data."""

from __future__ import annotations

import pytest
import torch

from dispr_cli.config import SAMPLERS, SamplerConfig
from dispr_cli.diffusion.sampler import sample, sample_ddim, sample_ddpm, sample_dpmpp_2m, sample_heun
from dispr_cli.diffusion.schedule import flow_time, log_sigmas

MEAN, SPREAD = 0.3, 0.5


def gaussian_denoiser(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """E[x0 | x] for x0 ~ N(MEAN, SPREAD²)."""
    return (SPREAD**2 * x + sigma**2 * MEAN) / (SPREAD**2 + sigma**2)


def exact_flow(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """Where the probability-flow ODE takes x from sigma to 0."""
    return MEAN + (x - MEAN) * SPREAD / (SPREAD**2 + sigma**2) ** 0.5


def _start(n: int = 256) -> torch.Tensor:
    return 80.0 * torch.randn(n, 1, 1, 1, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _error(sampler: str, steps: int) -> float:
    x, sigmas = _start(), log_sigmas(steps, 1e-3, 80.0)
    match sampler:
        case "euler":
            y = sample_ddim(gaussian_denoiser, x, sigmas, lambda: x)
        case "heun":
            y = sample_heun(gaussian_denoiser, x, sigmas)
        case _:
            y = sample_dpmpp_2m(gaussian_denoiser, x, sigmas)
    return float((y - exact_flow(x, 80.0)).abs().mean())


@pytest.mark.parametrize(("sampler", "order"), [("euler", 1), ("heun", 2), ("dpmpp-2m", 2)])
def test_error_falls_with_the_order_of_the_method(sampler: str, order: int) -> None:
    ratio = _error(sampler, 40) / _error(sampler, 80)
    assert 0.75 * 2**order < ratio < 1.5 * 2**order


def test_second_order_methods_beat_euler_at_equal_steps() -> None:
    assert _error("heun", 60) < 0.3 * _error("euler", 60)
    assert _error("dpmpp-2m", 60) < 0.3 * _error("euler", 60)


def test_ancestral_samples_have_the_mean_and_spread_of_the_data() -> None:
    x = _start(20_000)
    noise = torch.Generator().manual_seed(2)
    y = sample_ddpm(
        gaussian_denoiser,
        x,
        log_sigmas(400, 1e-3, 80.0),
        lambda: torch.randn(x.shape, generator=noise, dtype=torch.float64),
    )
    assert abs(float(y.mean()) - MEAN) < 0.015
    assert abs(float(y.std()) - SPREAD) < 0.015


def test_ddim_without_fresh_noise_is_deterministic_and_eta_one_is_ddpm() -> None:
    x, sigmas = _start(), log_sigmas(5, 0.1, 80.0)
    fresh = torch.ones_like(x)
    quiet = sample_ddim(gaussian_denoiser, x, sigmas, lambda: fresh, eta=0.0)
    assert torch.equal(quiet, sample_ddim(gaussian_denoiser, x, sigmas, lambda: -fresh, eta=0.0))
    noisy = sample_ddim(gaussian_denoiser, x, sigmas, lambda: fresh, eta=1.0)
    assert torch.equal(noisy, sample_ddpm(gaussian_denoiser, x, sigmas, lambda: fresh))
    assert not torch.equal(noisy, quiet)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_certain_denoiser_is_believed_and_called_as_often_as_promised(name: str, steps: int) -> None:
    truth = torch.linspace(-1, 1, 8).view(1, 1, 2, 2, 2)
    calls = []

    def denoiser(x: torch.Tensor, sigma: float) -> torch.Tensor:
        calls.append(sigma)
        return truth

    x = torch.ones(1, 1, 2, 2, 2)
    y = sample(denoiser, x, log_sigmas(steps, 0.4, 200.0), lambda: x, SamplerConfig(name, steps))
    assert torch.allclose(y, truth)
    assert len(calls) == (2 * steps - 1 if name == "heun" else steps)


def test_observer_sees_every_level_in_order() -> None:
    seen: list[float] = []
    sigmas = log_sigmas(4, 0.4, 200.0)
    config = SamplerConfig("euler", 4)
    sample(gaussian_denoiser, _start(), sigmas, _start, config, lambda sigma, x, x0: seen.append(sigma))
    assert seen == sigmas[:-1].tolist()


def test_levels_fall_evenly_in_the_logarithm_and_end_in_zero() -> None:
    sigmas = log_sigmas(5, 0.4, 200.0)
    assert float(sigmas[0]) == pytest.approx(200.0)
    assert float(sigmas[-2]) == pytest.approx(0.4)
    assert float(sigmas[-1]) == 0.0
    ratios = sigmas[1:-1] / sigmas[:-2]
    assert torch.allclose(ratios, ratios[:1])
    assert log_sigmas(1, 0.4, 200.0).tolist() == pytest.approx([200.0, 0.0])
    assert float(flow_time(torch.tensor(1.0))) == 0.5
