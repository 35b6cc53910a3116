"""DISPR of 2022 as a method: noise from (seed, cell, sample), and nothing else decides a shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dispr_cli.baselines.dispr2022.method import Dispr2022Method
from dispr_cli.baselines.dispr2022.weights import Dispr2022Weights
from dispr_cli.config import SamplerConfig
from dispr_cli.errors import ConfigError, DisprError
from tests.baselines.drawn import cell_of
from tests.baselines.tiny2022 import SIDE, draw_disc, make_network

CPU = torch.device("cpu")
CELLS = [cell_of(draw_disc(3), "a"), cell_of(draw_disc(2), "b")]


@pytest.fixture(autouse=True)
def on_a_small_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispr_cli.baselines.dispr2022.method.GRID", SIDE)
    monkeypatch.setattr("dispr_cli.diffusion.micro_batches.GRID", SIDE)


def make_method(sampler: SamplerConfig, **options: object) -> Dispr2022Method:
    # In bfloat16, which machines with fast units for it choose, another batch size may round otherwise.
    weights = Dispr2022Weights(make_network(), "0" * 64, {})
    return Dispr2022Method(weights, CPU, sampler, **{"precision": "fp32", **options})


@pytest.mark.parametrize(
    "sampler", [SamplerConfig("ddpm", 3), SamplerConfig("ddim", 2)], ids=lambda s: s.sampler
)
def test_a_sample_depends_on_its_cell_seed_and_index_alone(sampler: SamplerConfig) -> None:
    method = make_method(sampler)
    volumes = method.reconstruct(CELLS, 2, seed=3)
    assert volumes.shape == (2, 2, SIDE, SIDE, SIDE)
    assert volumes.dtype == np.uint8
    assert (volumes[:, 0] != volumes[:, 1]).any()
    method.micro_batch = 2
    alone = method.reconstruct(CELLS[1:], 1, seed=3)
    difference = np.abs(alone[0, 0].astype(int) - volumes[1, 0].astype(int))
    assert difference.max() <= 1  # another batch size may choose another convolution
    assert (method.reconstruct(CELLS[:1], 1, seed=4) != volumes[0, 0]).any()


def test_the_same_call_gives_the_same_bytes() -> None:
    method = make_method(SamplerConfig("ddpm", 2))
    again = make_method(SamplerConfig("ddpm", 2))
    np.testing.assert_array_equal(method.reconstruct(CELLS, 1, 0), again.reconstruct(CELLS[::-1], 1, 0)[::-1])


def test_the_published_sampler_is_the_default() -> None:
    method = Dispr2022Method(Dispr2022Weights(make_network(), "0" * 64, {}), CPU, precision="fp32")
    assert method.identity() == {
        "method": "dispr2022",
        "weights_sha256": "0" * 64,
        "sampler": "ddpm",
        "num_steps": 1000,
        "eta": 0.0,
        "precision": "fp32",
    }
    assert method.device_type == "cpu"
    assert "CPU" in method.describe()


def test_impossible_samplers_are_told() -> None:
    with pytest.raises(ConfigError, match="--sampler euler"):
        make_method(SamplerConfig("euler", 5))
    with pytest.raises(ConfigError, match="--steps is 1001"):
        make_method(SamplerConfig("ddpm", 1001))


def test_the_batch_is_halved_when_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    method = make_method(SamplerConfig("ddim", 1), notify=said.append)
    method.micro_batch = 4
    draw = method._draw

    def with_little_memory(cells, part, seed):
        if len(part) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return draw(cells, part, seed)

    monkeypatch.setattr(method, "_draw", with_little_memory)
    volumes = method.reconstruct(CELLS, 1, seed=0)
    np.testing.assert_array_equal(
        volumes, make_method(SamplerConfig("ddim", 1)).reconstruct(CELLS, 1, seed=0)
    )
    assert said == [f"memory ran out: going on with {n} volumes at a time" for n in (2, 1)]

    def without_memory(cells, part, seed):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(method, "_draw", without_memory)
    with pytest.raises(DisprError, match="single volume"):
        method.reconstruct(CELLS, 1, seed=0)


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    method = make_method(SamplerConfig("ddim", 1))

    def fail(cells, part, seed):
        raise RuntimeError("something else")

    monkeypatch.setattr(method, "_draw", fail)
    with pytest.raises(RuntimeError, match="something else"):
        method.reconstruct(CELLS, 1, seed=0)
