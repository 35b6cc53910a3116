"""Our method: a cell's samples depend on the cell, the seed and the sample index alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dispr_cli.config import FOCAL_SLICE, SAMPLERS, SamplerConfig
from dispr_cli.diffusion.checkpoint import Checkpoint
from dispr_cli.diffusion.device import choose_device
from dispr_cli.diffusion.drawing import noise_levels
from dispr_cli.diffusion.reconstruction import DiffusionMethod
from dispr_cli.errors import ConfigError, DisprError
from dispr_cli.inputs.cell import Cell
from tests.diffusion.tiny import make_denoiser

CPU = torch.device("cpu")


def make_method(sampler: SamplerConfig | None = None, notify=lambda message: None) -> DiffusionMethod:
    checkpoint = Checkpoint(make_denoiser(), "0" * 64, {})
    return DiffusionMethod(checkpoint, sampler or SamplerConfig("euler", 2), CPU, "fp32", notify)


def test_samples_do_not_depend_on_company_or_order(cells: list[Cell]) -> None:
    method = make_method()
    together = method.reconstruct(cells, 3, seed=7)
    alone = np.concatenate([method.reconstruct([cell], 3, seed=7) for cell in cells])
    backwards = method.reconstruct(cells[::-1], 3, seed=7)[::-1]
    assert (together == alone).all()
    assert (together == backwards).all()


def test_fewer_samples_are_the_first_of_more(cells: list[Cell]) -> None:
    method = make_method()
    assert (method.reconstruct(cells[:2], 2, 0) == method.reconstruct(cells[:2], 4, 0)[:, :2]).all()


def test_samples_and_seeds_differ(cells: list[Cell]) -> None:
    method = make_method()
    first, other = method.reconstruct(cells[:1], 2, 0), method.reconstruct(cells[:1], 2, 1)
    assert (first[0, 0] != first[0, 1]).any()
    assert (first != other).any()


def test_without_spread_the_samples_of_an_orientation_are_one(cells: list[Cell]) -> None:
    made = [make_method(SamplerConfig(num_steps=1, spread=spread)) for spread in (0.0, 0.5, 1.0)]
    single, narrow, whole = (method.reconstruct(cells[:1], 9, 0)[0] for method in made)
    assert (single[0] == single[8]).all()
    apart = [np.abs(s[0].astype(float) - s[8]).mean() for s in (narrow, whole)]
    assert 0.0 < apart[0] < apart[1]
    assert made[0].identity()["spread"] == 0.0


def test_threads_change_nothing(cells: list[Cell]) -> None:
    method = make_method()
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(method.reconstruct(cells[:2], 2, 0))
    finally:
        torch.set_num_threads(before)
    assert (found[0] == found[1]).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_keeps_the_known_slice(cells: list[Cell], name: str) -> None:
    volumes = make_method(SamplerConfig(name, 3)).reconstruct(cells[:2], 1, 0)
    for cell, samples in zip(cells, volumes, strict=False):
        assert ((samples[0, FOCAL_SLICE] > 127) == cell.mask).mean() > 0.999


def test_memory_running_out_halves_the_batch_says_so_and_loses_nothing(
    cells: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    method = make_method(notify=said.append)
    expected_shape = method.reconstruct(cells[:2], 2, 0).shape
    whole = DiffusionMethod._sample

    def hungry(self, cells, work, seed, observer=None):
        if self.micro_batch > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
        return whole(self, cells, work, seed, observer)

    monkeypatch.setattr(DiffusionMethod, "_sample", hungry)
    volumes = method.reconstruct(cells[:2], 2, 0)
    assert volumes.shape == expected_shape
    assert (volumes > 127).any((2, 3, 4)).all()
    assert said == [
        "memory ran out: going on with 2 volumes at a time",
        "memory ran out: going on with 1 volumes at a time",
    ]


def test_memory_for_not_even_one_volume_is_an_error(
    cells: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    def starving(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(DiffusionMethod, "_sample", starving)
    with pytest.raises(DisprError, match="single volume"):
        make_method().reconstruct(cells[:1], 1, 0)


def test_trajectory_has_every_step_and_ends_in_the_sample(cells: list[Cell]) -> None:
    method = make_method(SamplerConfig("euler", 4))
    steps = method.trajectory(cells[0], seed=0)
    levels = noise_levels(method.config, method.sampler)
    assert [round(sigma, 6) for sigma, _, _ in steps] == [round(float(s), 6) for s in levels[:-1]]
    assert (steps[-1][2] == method.reconstruct(cells[:1], 1, 0)[0, 0]).all()


def test_identity_tells_what_decides_the_result() -> None:
    identity = make_method(SamplerConfig("ddim", 3, eta=0.5)).identity()
    assert identity == {
        "method": "dispr",
        "weights_sha256": "0" * 64,
        "sampler": "ddim",
        "num_steps": 3,
        "eta": 0.5,
        "orientations": 8,
        "balance": 5,
        "spread": 1.0,
        "precision": "fp32",
    }


def test_a_device_that_is_not_there() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(ConfigError, match=r"--device cuda: .*available: cpu"):
        choose_device("cuda")


def test_samples_balance_as_the_cell_lies_whatever_orientation_they_are_drawn_in(cells: list[Cell]) -> None:
    method = make_method()
    begun = [method.trajectory(cells[0], 0, sample)[0] for sample in range(5)]
    noise = np.stack([field / sigma for sigma, field, _ in begun])
    assert noise.std() == pytest.approx(method.config.spread, rel=0.02)
    assert np.abs(noise.sum(0)).max() < 1e-4
