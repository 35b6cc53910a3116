"""The file beside weights that says how far they can be trusted."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from dispr_cli.config import SamplerConfig
from dispr_cli.diffusion.intervals import fit_intervals
from dispr_cli.diffusion.reconstruction import DiffusionMethod
from dispr_cli.diffusion.trust import (
    MeasuredIntervals,
    Trust,
    read_trust,
    sampling_settings,
    trust_file,
    trust_of,
    write_trust,
)
from dispr_cli.errors import WeightsError
from dispr_cli.methods import load_denoiser
from tests.scripted_method import ScriptedMethod


@pytest.fixture
def method(tiny_weights: Path, tmp_path: Path) -> DiffusionMethod:
    weights = shutil.copy(tiny_weights, tmp_path / "own.safetensors")
    return load_denoiser(weights, SamplerConfig("ddpm", 2), device="cpu", precision="fp32")


def known(method: DiffusionMethod) -> Trust:
    rng = np.random.default_rng(0)
    truth = rng.uniform(5e3, 2e4, 40)
    calibration = fit_intervals(truth[:, None] * np.exp(0.1 * rng.normal(size=(40, 3))), truth)
    settings = sampling_settings(method.identity())
    return Trust(method.checkpoint.sha256, (MeasuredIntervals(settings, {"volume": calibration}),))


def path_of(method: DiffusionMethod) -> Path:
    assert method.checkpoint.path is not None
    return trust_file(method.checkpoint.path)


def test_what_is_written_is_found_again_beside_the_weights(method: DiffusionMethod) -> None:
    write_trust(path_of(method), known(method))
    assert path_of(method).name == "own.trust.json"
    assert trust_of(method) == known(method)


def test_weights_without_the_file_and_peers_say_so(method: DiffusionMethod) -> None:
    told: list[str] = []
    assert trust_of(method, told.append) is None
    assert "own.trust.json is not there" in told[0]
    assert trust_of(ScriptedMethod(), told.append) is None
    assert len(told) == 1


def test_other_weights_are_not_trusted(method: DiffusionMethod) -> None:
    write_trust(path_of(method), dataclasses.replace(known(method), weights_sha256="0" * 64))
    told: list[str] = []
    assert trust_of(method, told.append) is None
    assert "other weights" in told[0]


def test_another_sampler_has_no_intervals(method: DiffusionMethod, tmp_path: Path) -> None:
    write_trust(path_of(method), known(method))
    assert method.checkpoint.path is not None
    other = load_denoiser(method.checkpoint.path, SamplerConfig("euler", 3), device="cpu", precision="fp32")
    told: list[str] = []
    found = trust_of(other, told.append)
    assert found is not None
    assert not found.intervals
    assert "num_steps, sampler" in told[0]


def test_each_sampler_that_was_measured_has_its_own_intervals(method: DiffusionMethod) -> None:
    assert method.checkpoint.path is not None
    other = load_denoiser(method.checkpoint.path, SamplerConfig("ddpm", 5), device="cpu", precision="fp32")
    first, second = known(method), known(other)
    truth = np.linspace(5e3, 2e4, 40)
    wide = {"volume": fit_intervals(truth[:, None] * [[0.5, 1.0, 2.0]], truth[::-1])}
    both = (first.measured[0], dataclasses.replace(second.measured[0], intervals=wide))
    write_trust(path_of(method), Trust(first.weights_sha256, both))
    told: list[str] = []
    assert trust_of(method, told.append) == first
    found = trust_of(other, told.append)
    assert found is not None
    assert found.intervals == wide
    assert not told


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "x"}', '{"format": "dispr-trust/2"}', "\xff"])
def test_damage_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.trust.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(WeightsError, match=r"a\.trust\.json.*Delete it"):
        read_trust(path)
