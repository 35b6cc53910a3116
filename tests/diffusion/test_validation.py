"""Held-out cells are drawn as a user draws them: in the default steps, from noise of the default spread."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dispr_cli.config import SamplerConfig
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.schedule import log_sigmas
from dispr_cli.diffusion.validation import validate
from tests.diffusion.tiny import make_denoiser


def test_cells_are_drawn_as_a_user_draws_them(
    training_cells: TrainingCells, monkeypatch: pytest.MonkeyPatch
) -> None:
    denoiser, calls = make_denoiser(), list[tuple[float, torch.Tensor]]()
    denoise = denoiser.denoise

    def watched(x: torch.Tensor, sigma: float, condition: Any) -> torch.Tensor:
        calls.append((sigma, x.clone()))
        return denoise(x, sigma, condition)

    monkeypatch.setattr(denoiser, "denoise", watched)
    found = validate(denoiser, training_cells, torch.device("cpu"))
    config, sampler = denoiser.config, SamplerConfig()
    sigmas = log_sigmas(sampler.num_steps, config.sigma_min, config.sigma_max)[:-1].tolist()
    assert [sigma for sigma, _ in calls] == sigmas * 2
    for sigma, x in (calls[0], calls[sampler.num_steps]):
        assert float(x.std()) == pytest.approx(sigma * config.spread * sampler.spread, rel=0.02)
    assert not torch.equal(calls[0][1], calls[sampler.num_steps][1])
    assert found.num_cells == len(training_cells) == len(found.ious) == len(found.volume_errors)
    assert found == validate(denoiser, training_cells, torch.device("cpu"))
