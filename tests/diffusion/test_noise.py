"""Noise belongs to (seed, cell content, sample index)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dispr_cli.diffusion.noise import BalancedNoise, draw_noise, sample_stream
from dispr_cli.inputs.cell import Cell

IMAGE = np.random.default_rng(0).random((64, 64), np.float32)
MASK = IMAGE > 0.5


def draw(image: np.ndarray = IMAGE, mask: np.ndarray = MASK, seed: int = 0, sample: int = 0) -> torch.Tensor:
    return draw_noise([sample_stream(image, mask, seed, sample)], 32)


def test_the_same_cell_gets_the_same_noise() -> None:
    assert torch.equal(draw(), draw(np.asfortranarray(IMAGE), MASK.copy()))


def test_seed_sample_image_and_mask_each_change_it() -> None:
    changed = IMAGE.copy()
    changed[0, 0] += 1e-3
    flipped = MASK.copy()
    flipped[0, 0] = ~flipped[0, 0]
    others = [draw(seed=1), draw(sample=1), draw(image=changed), draw(mask=flipped)]
    assert not any(torch.equal(draw(), other) for other in others)


def test_it_is_standard_normal_and_independent_between_samples() -> None:
    a, b = draw(sample=0), draw(sample=1)
    assert abs(float(a.mean())) < 0.03
    assert abs(float(a.std()) - 1) < 0.03
    assert abs(float((a * b).mean())) < 0.03


def test_a_stream_never_repeats_itself() -> None:
    stream = sample_stream(IMAGE, MASK, 0, 0)
    first, second = draw_noise([stream], 32), draw_noise([stream], 32)
    assert torch.equal(first, draw())
    assert abs(float((first * second).mean())) < 0.03


CELL = Cell("a", IMAGE, MASK, None, Path("a.tif"), None, (0, 0, 64, 64), False)


def balanced(work: list[tuple[int, int]], group: int = 5) -> torch.Tensor:
    return BalancedNoise([CELL, CELL], work, 0, group).draw(32)


def test_the_noise_of_a_group_adds_up_to_nothing_and_each_stays_standard_normal() -> None:
    noise = balanced([(0, sample) for sample in range(5)])
    torch.testing.assert_close(noise.sum(0), torch.zeros_like(noise[0]), atol=1e-5, rtol=0.0)
    variance, fourth = noise.square().mean((1, 2, 3, 4)), noise.pow(4).mean((1, 2, 3, 4))
    assert noise.shape == (5, 1, 32, 32, 32)
    assert (variance - 1.0).abs().max() < 0.03
    assert (fourth - 3.0).abs().max() < 0.2
    flat = noise.flatten(1)
    correlation = flat @ flat.T / flat.shape[1]
    assert (correlation[~torch.eye(5, dtype=torch.bool)] + 0.25).abs().max() < 0.03


def test_a_sample_does_not_depend_on_which_others_are_drawn() -> None:
    all_of_them = balanced([(0, sample) for sample in range(10)])
    assert torch.equal(balanced([(0, 7), (1, 2), (0, 7)])[[0, 2]], all_of_them[[7, 7]])
    assert abs(float((all_of_them[2] * all_of_them[7]).mean())) < 0.03


def test_the_groups_of_a_cell_and_its_steps_are_independent() -> None:
    noise = BalancedNoise([CELL], [(0, 0), (0, 5)], 0, 5)
    first, second = noise.draw(32), noise.draw(32)
    for a, b in ((first[0], first[1]), (first[0], second[0])):
        assert abs(float((a * b).mean())) < 0.03


def test_a_group_of_one_is_independent_noise() -> None:
    noise = balanced([(0, 0), (0, 1)], group=1)
    assert torch.equal(noise[1], draw(sample=1)[0])


@pytest.mark.parametrize("group", [2, 3])
def test_other_groups(group: int) -> None:
    noise = balanced([(0, sample) for sample in range(group)], group)
    assert float(noise.sum(0).abs().max()) < 1e-5
