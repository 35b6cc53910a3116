"""The area of a field against closed forms, and the loss made of it."""

from __future__ import annotations

import math

import pytest
import torch

from dispr_cli.diffusion.field_area import HIGHEST_SIGMA, area_loss, field_area

CLIP = 4.0


def ball(radius: float, squash: float = 1.0) -> torch.Tensor:
    axis = torch.arange(64.0) - 31.7
    z, y, x = torch.meshgrid(axis / squash, axis, axis, indexing="ij")
    return ((radius - (z**2 + y**2 + x**2).sqrt()) / CLIP).clamp(-1.0, 1.0)[None, None]


@pytest.mark.parametrize("radius", [8.0, 15.0, 25.3])
def test_a_ball_has_the_area_of_a_ball(radius: float) -> None:
    # A slab of half a voxel on a grid of whole ones comes out 2 % too large, whatever the radius.
    assert float(field_area(ball(radius), CLIP)) == pytest.approx(1.02 * 4.0 * math.pi * radius**2, rel=0.01)


def test_a_field_without_a_surface_has_none_and_a_gradient_that_is_finite() -> None:
    for field in (torch.full((1, 1, 8, 8, 8), -1.0), ball(12.0)):
        field = field.clone().requires_grad_()
        area = field_area(field, CLIP)
        area.sum().backward()
        assert torch.isfinite(field.grad).all()
    assert float(field_area(torch.full((1, 1, 8, 8, 8), -1.0), CLIP)) == 0.0


def test_the_gradient_makes_a_ball_larger() -> None:
    field = ball(12.0).requires_grad_()
    field_area(field, CLIP).sum().backward()
    assert float(field.grad.sum()) > 0.0


def test_the_loss_is_the_relative_error_of_examples_of_low_noise() -> None:
    estimate, target = torch.cat([ball(11.0), ball(10.0)]), torch.cat([ball(10.0), ball(10.0)])
    error = float(field_area(ball(11.0), CLIP) / field_area(ball(10.0), CLIP)) - 1.0
    low, high = 0.5 * HIGHEST_SIGMA, 2.0 * HIGHEST_SIGMA
    loss = 0.5 * area_loss(estimate, target, torch.tensor([low, high]), CLIP)
    assert float(loss) == pytest.approx(error**2 / 2, rel=1e-4)
    assert float(area_loss(estimate, target, torch.tensor([high, low]), CLIP)) == 0.0
    assert float(area_loss(estimate, target, torch.tensor([high, high]), CLIP)) == 0.0
