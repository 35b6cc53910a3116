"""The published diffusion: schedules, steps and loss against what theory says of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from dispr_cli.baselines.dispr2022.diffusion import Diffusion, make_schedule
from dispr_cli.baselines.dispr2022.sampling import check_sampler, draw_volumes, tile_condition
from dispr_cli.baselines.dispr2022.settings import NetworkConfig
from dispr_cli.baselines.dispr2022.unet import PublishedNetwork, embed_timestep
from dispr_cli.config import SamplerConfig
from dispr_cli.errors import ConfigError
from tests.baselines.tiny2022 import make_network

SHAPE = (2, 1, 4, 8, 8)
MEAN, DEVIATION = 0.2, 0.1


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_fewer_steps_are_levels_of_the_whole_schedule() -> None:
    whole, few = make_schedule(), make_schedule(10)
    np.testing.assert_array_equal(few.timesteps, [0, 111, 222, 333, 444, 555, 666, 777, 888, 999])
    np.testing.assert_array_equal(few.signal, whole.signal[few.timesteps])
    np.testing.assert_allclose(np.cumprod(1.0 - few.betas), few.signal, rtol=1e-12)
    assert few.signal_before[0] == 1.0


def test_a_single_step_starts_from_pure_noise() -> None:
    assert make_schedule(1).timesteps.tolist() == [999]
    assert np.isfinite(make_schedule(1).least_log_variance).all()


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_numbers_of_steps_are_told(steps: int) -> None:
    with pytest.raises(ConfigError, match=f"--steps is {steps}: expected 1 to 1000"):
        make_schedule(steps)


def test_the_end_of_the_schedule_is_noise() -> None:
    diffusion = Diffusion(make_schedule())
    x = diffusion.diffuse(torch.ones(SHAPE), torch.tensor([0, 999]), torch.zeros(SHAPE))
    assert x[0].mean() == pytest.approx(1.0, abs=1e-4)
    assert x[1].mean() == pytest.approx(0.0, abs=0.01)


def test_the_true_noise_predicts_the_true_volume() -> None:
    diffusion, step = Diffusion(make_schedule()), torch.tensor([3, 600])
    x0, noise = normal(*SHAPE).clamp(-1, 1), normal(*SHAPE, seed=1)
    x = diffusion.diffuse(x0, step, noise)
    prediction = diffusion.predict(torch.cat([noise, -torch.ones(SHAPE)], 1), x, step)
    torch.testing.assert_close(prediction.x0, x0, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(prediction.mean, diffusion.posterior_mean(x0, x, step), rtol=1e-4, atol=1e-4)


def test_ddim_with_all_its_noise_is_the_ancestral_step() -> None:
    diffusion, step = Diffusion(make_schedule(20)), torch.tensor([4, 13])
    x, fresh = normal(*SHAPE), normal(*SHAPE, seed=1)
    output = torch.cat([normal(*SHAPE, seed=2), -torch.ones(SHAPE)], 1)
    prediction = diffusion.predict(output, x, step)
    ancestral = diffusion.ancestral_step(prediction, step, fresh)
    ddim = diffusion.ddim_step(prediction, x, step, eta=1.0, noise=fresh)
    torch.testing.assert_close(ddim, ancestral, rtol=1e-4, atol=1e-5)


def exact_output(diffusion: Diffusion) -> object:
    """Best answer where every voxel is drawn from a normal distribution on its own."""
    by_timestep = dict(
        zip(diffusion.schedule.timesteps.tolist(), diffusion.schedule.signal.tolist(), strict=True)
    )

    def network(x: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        noisy, signal = x[:, 2:], by_timestep[int(timestep[0])]
        variance = signal * DEVIATION**2 + 1.0 - signal
        # E[n | x_t], from the joint normal distribution of noise and x_t.
        noise = (1.0 - signal) ** 0.5 * (noisy - signal**0.5 * MEAN) / variance
        return torch.cat([noise, -torch.ones_like(noise)], 1)

    return network


@pytest.mark.parametrize(
    "sampler",
    [SamplerConfig("ddpm", 1000), SamplerConfig("ddim", 400), SamplerConfig("ddim", 1000, eta=1.0)],
    ids=lambda s: f"{s.sampler}-{s.eta:g}",
)
def test_samplers_draw_from_the_distribution_of_the_data(sampler: SamplerConfig) -> None:
    diffusion = Diffusion(make_schedule(sampler.num_steps))
    seeds = itertools.count()
    drawn = draw_volumes(
        exact_output(diffusion),
        torch.zeros(1, 2, 8, 16, 16),
        diffusion,
        lambda: normal(1, 1, 8, 16, 16, seed=next(seeds)),
        sampler,
    )
    assert drawn.mean() == pytest.approx(MEAN, abs=0.02)
    assert drawn.std() == pytest.approx(DEVIATION, rel=0.05)


@pytest.mark.parametrize(("sampler", "calls"), [("ddpm", 5), ("ddim", 1)])
def test_noise_is_drawn_only_where_it_is_used(sampler: str, calls: int) -> None:
    diffusion = Diffusion(make_schedule(5))
    drawn = []

    def noise() -> torch.Tensor:
        drawn.append(normal(*SHAPE))
        return drawn[-1]

    draw_volumes(
        exact_output(diffusion), torch.zeros(2, 2, 4, 8, 8), diffusion, noise, SamplerConfig(sampler, 5)
    )
    assert len(drawn) == calls


def test_other_samplers_are_refused() -> None:
    with pytest.raises(ConfigError, match="--sampler heun is not one of dispr2022: expected ddpm or ddim"):
        check_sampler(SamplerConfig("heun", 10))


def test_a_perfect_answer_costs_nothing() -> None:
    diffusion, step = Diffusion(make_schedule()), torch.tensor([5, 700])
    x0, noise = normal(*SHAPE).clamp(0, 1), normal(*SHAPE, seed=1)
    x = diffusion.diffuse(x0, step, noise)
    loss = diffusion.loss(torch.cat([noise, -torch.ones(SHAPE)], 1), x0, x, step, noise)
    torch.testing.assert_close(loss.total, torch.zeros(2), atol=1e-4, rtol=0)


def test_the_bound_trains_the_variance_and_not_the_mean() -> None:
    diffusion, step = Diffusion(make_schedule()), torch.tensor([0, 700])
    output = normal(2, 2, 4, 8, 8).requires_grad_()
    x0, noise = normal(*SHAPE).clamp(0, 1), normal(*SHAPE, seed=1)
    x = diffusion.diffuse(x0, step, noise)
    diffusion.loss(output, x0, x, step, noise).bound.sum().backward()
    assert output.grad is not None
    assert not output.grad[:, 0].any()
    assert (output.grad[:, 1].abs().amax((1, 2, 3)) > 0).all()


def test_volumes_at_the_ends_of_the_grey_range_have_open_bins() -> None:
    diffusion, step = Diffusion(make_schedule()), torch.tensor([0])
    x0, shape = torch.ones(1, 1, 2, 2, 2), (1, 1, 2, 2, 2)
    beyond = diffusion.diffuse(x0 + 0.5, step, torch.zeros(shape))
    output = torch.cat([torch.zeros(shape), torch.zeros(shape)], 1)
    assert diffusion.loss(output, x0, beyond, step, torch.zeros(shape)).bound == pytest.approx(0.0, abs=1e-6)
    assert diffusion.loss(output, -x0, -beyond, step, torch.zeros(shape)).bound == pytest.approx(
        0.0, abs=1e-6
    )


def test_condition_is_mask_then_image_inside_it() -> None:
    image, inside = normal(3, 64, 64).abs(), normal(3, 64, 64, seed=1) > 0
    condition = tile_condition(image, inside)
    assert condition.shape == (3, 2, 64, 64, 64)
    torch.testing.assert_close(condition[1, 0, 17], inside[1].float())
    torch.testing.assert_close(condition[1, 1, 63], image[1] * inside[1])


def test_timesteps_are_told_apart() -> None:
    embedding = embed_timestep(torch.tensor([0, 1, 999]), 32)
    assert embedding.shape == (3, 32)
    torch.testing.assert_close(embedding[0], torch.cat([torch.ones(16), torch.zeros(16)]))
    assert (embedding[1] - embedding[2]).abs().max() > 0.5


def test_an_untrained_network_answers_zero() -> None:
    network = PublishedNetwork().eval()
    with torch.inference_mode():
        answer = network(normal(1, 3, 2, 8, 8), torch.tensor([10]))
    assert answer.shape == (1, 2, 2, 8, 8)
    assert not answer.any()
    assert sum(parameter.numel() for parameter in network.parameters()) == 9_772_802


def test_attention_lets_far_voxels_speak_to_each_other() -> None:
    x = normal(1, 3, 40, 4, 4)
    changed = x.clone()
    changed[:, :, 0] += 1.0
    reach = {}
    for levels in ((), (1,)):
        network = make_network(NetworkConfig(4, (1, 2), levels, 2))
        network.middle_block[1] = torch.nn.Identity() if not levels else network.middle_block[1]
        network.middle_block.forward = lambda x, embedding: x  # type: ignore[method-assign]
        for block in network.modules():
            if isinstance(block, torch.nn.GroupNorm):
                block.forward = lambda x: x  # type: ignore[method-assign]
        with torch.inference_mode():
            answers = [network(y, torch.tensor([10])) for y in (x, changed)]
        reach[levels] = (answers[0] - answers[1])[:, :, 30:].abs().max()
    assert reach[()] == 0.0
    assert reach[(1,)] > 0.0
