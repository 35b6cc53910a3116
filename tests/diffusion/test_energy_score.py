"""The loss of the first step is least where estimates are spread as the shapes are."""

from __future__ import annotations

import pytest
import torch

from dispr_cli.config import TrainingConfig
from dispr_cli.diffusion import energy_score, training
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.denoiser import Condition
from dispr_cli.diffusion.energy_score import first_step_loss
from dispr_cli.diffusion.training import Trainer
from tests.diffusion.tiny import TINY, make_denoiser

CLIP = 4.0
CPU = torch.device("cpu")


def balls(radii: torch.Tensor) -> torch.Tensor:
    axis = torch.arange(32.0) - 15.7
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    distance = radii.view(-1, 1, 1, 1) - (z**2 + y**2 + x**2).sqrt()
    return (distance / CLIP).clamp(-1.0, 1.0)[:, None]


def mean_loss(centre: float, spread: float) -> float:
    """Loss of samples with radii N(centre, spread), where the truth is N(9, 1.2)."""
    generator = torch.Generator().manual_seed(1)
    true, one, other = torch.randn((3, 400), generator=generator)
    fields = (balls(centre + spread * one), balls(centre + spread * other), balls(9.0 + 1.2 * true))
    return float(first_step_loss(*fields, CLIP).mean())


@pytest.mark.parametrize(("centre", "spread"), [(9.0, 0.3), (9.0, 2.6), (8.0, 1.2), (10.0, 1.2)])
def test_the_true_distribution_has_the_least_loss(centre: float, spread: float) -> None:
    assert mean_loss(9.0, 1.2) < 0.98 * mean_loss(centre, spread)


def test_certain_and_right_costs_nothing_and_the_gradient_is_finite() -> None:
    truth = balls(torch.tensor([8.0, 10.0]))
    one, other = truth.clone().requires_grad_(), truth.clone()
    loss = first_step_loss(one, other, truth, CLIP)
    assert loss.shape == (2,)
    assert loss.abs().max() < 2e-3
    loss.sum().backward()
    assert torch.isfinite(one.grad).all()


def test_errors_that_two_estimates_share_cost_more(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, large, small = (balls(torch.tensor([radius])) for radius in (9.0, 9.5, 8.5))
    shared, opposite = (first_step_loss(large, other, truth, CLIP) for other in (large, small))
    monkeypatch.setattr(energy_score, "MEAN_WEIGHT", 0.0)
    without = [first_step_loss(large, other, truth, CLIP) for other in (large, small)]
    assert float(shared - without[0]) > 1e-4
    assert float(opposite - without[1]) < -1e-4


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.6, 6), (0.9, 9)])
def test_so_many_examples_of_a_batch_start_from_nothing_but_noise(
    training_cells: TrainingCells, monkeypatch: pytest.MonkeyPatch, share: float, expected: int
) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    levels: list[torch.Tensor] = []

    def recorded(one: torch.Tensor, other: torch.Tensor, target: torch.Tensor, clip: float) -> torch.Tensor:
        seen.append((one, other, target))
        return first_step_loss(one, other, target, clip)

    config = TrainingConfig(num_examples=10, batch_size=10, score_share=share)
    trainer = Trainer(training_cells, config, TINY, CPU)
    trainer.start_from(make_denoiser())
    whole = trainer.denoiser.forward

    def watched(x: torch.Tensor, sigma: torch.Tensor, condition: Condition) -> torch.Tensor:
        levels.append(sigma)
        return whole(x, sigma, condition)

    monkeypatch.setattr(training, "first_step_loss", recorded)
    monkeypatch.setattr(trainer.denoiser, "forward", watched)
    trainer._take_step()
    ((one, other, target),) = seen
    assert len(one) == len(other) == len(target) == expected
    assert int((levels[0] == TINY.sigma_max).sum()) == 2 * expected
    assert len(levels[0]) == 10 + expected
    assert not expected or not torch.equal(one, other)
