"""What a network's configuration says of the noise is what is done with it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from dispr_cli.config import SamplerConfig
from dispr_cli.diffusion.denoiser import VolumeDenoiser
from dispr_cli.diffusion.drawing import draw_fields, noise_levels
from dispr_cli.diffusion.sharpening import sharpen
from tests.diffusion.tiny import make_denoiser

Seen = list[tuple[float, torch.Tensor, torch.Tensor]]
"""What an observer is shown: levels, noisy fields and estimates."""


def drawn(steps: int, **changes: float) -> tuple[torch.Tensor, Seen]:
    denoiser, seen = make_denoiser(), Seen()
    denoiser.config = dataclasses.replace(denoiser.config, **changes)
    generator = torch.Generator().manual_seed(3)

    def noise() -> torch.Tensor:
        return torch.randn(2, 1, 64, 64, 64, generator=generator)

    def watch(sigma: float, x: torch.Tensor, estimate: torch.Tensor) -> None:
        seen.append((sigma, x.clone(), estimate.clone()))

    with torch.inference_mode():
        condition = denoiser.encode(torch.rand(2, 64, 64, generator=generator), torch.zeros(2, 64, 64))
        field = draw_fields(denoiser, condition, noise, SamplerConfig(num_steps=steps), watch)
    return field, seen


def test_levels_and_spread_are_those_of_the_network() -> None:
    _, seen = drawn(3, sigma_min=2.0, sigma_max=50.0, spread=0.5)
    assert [round(sigma, 4) for sigma, _, _ in seen] == [50.0, 10.0, 2.0]
    assert float(seen[0][1].std()) == pytest.approx(25.0, rel=0.02)
    shape = dataclasses.replace(make_denoiser().config, sigma_min=2.0, sigma_max=50.0)
    assert noise_levels(shape, SamplerConfig(num_steps=3)).tolist() == pytest.approx([50.0, 10.0, 2.0, 0.0])


def test_the_first_estimate_alone_is_sharpened(monkeypatch: pytest.MonkeyPatch) -> None:
    raw, denoise = list[torch.Tensor](), VolumeDenoiser.denoise

    def watched(*arguments: Any) -> torch.Tensor:
        raw.append(denoise(*arguments))
        return raw[-1].clone()

    monkeypatch.setattr(VolumeDenoiser, "denoise", watched)
    _, seen = drawn(3, sharpening=1.0)
    clip = make_denoiser().config.clip_distance
    assert torch.equal(seen[0][2], sharpen(raw[0], 1.0, clip))
    assert not torch.equal(seen[0][2], raw[0])
    for (_, _, estimate), own in zip(seen[1:], raw[1:], strict=True):
        assert torch.equal(estimate, own)


def test_a_single_step_is_not_sharpened() -> None:
    plain, _ = drawn(1, sharpening=0.0)
    asked, _ = drawn(1, sharpening=1.0)
    assert torch.equal(asked, plain)
