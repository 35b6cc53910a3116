"""Networks between two stages of training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.average_folds import average
from dispr_cli.config import DenoiserConfig
from dispr_cli.diffusion.checkpoint import load_denoiser, save_denoiser
from tests.diffusion.tiny import make_denoiser


def saved(path: Path, seed: int, held_out: list[str]) -> Path:
    save_denoiser(path, make_denoiser(seed), {"held_out": held_out, "stage": f"seed {seed}"}, torch.float32)
    return path


def test_weights_lie_between_and_say_so(tmp_path: Path) -> None:
    before, after = saved(tmp_path / "a.safetensors", 1, ["x"]), saved(tmp_path / "b.safetensors", 2, ["x"])
    average(before, after, tmp_path / "c.safetensors", 0.25, DenoiserConfig(sigma_min=4.0, spread=0.7))
    old, new, found = (load_denoiser(tmp_path / f"{name}.safetensors") for name in "abc")
    assert (found.denoiser.config.sigma_min, found.denoiser.config.spread) == (4.0, 0.7)
    assert found.denoiser.config.channels == new.denoiser.config.channels
    pairs = zip(*(one.denoiser.parameters() for one in (old, new, found)), strict=True)
    for a, b, c in pairs:
        torch.testing.assert_close(c, 0.75 * a + 0.25 * b, rtol=2e-3, atol=2e-3)
    assert found.provenance["averaged_with"] == old.sha256
    assert found.provenance["stage"] == "seed 2"


def test_networks_kept_from_different_cells_are_not_averaged(tmp_path: Path) -> None:
    before, after = saved(tmp_path / "a.safetensors", 1, ["x"]), saved(tmp_path / "b.safetensors", 2, ["y"])
    with pytest.raises(SystemExit, match="different cells"):
        average(before, after, tmp_path / "c.safetensors", 0.5, DenoiserConfig())
