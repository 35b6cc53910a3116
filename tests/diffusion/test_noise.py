"""Noise belongs to (seed, cell content, sample index)."""

from __future__ import annotations

import numpy as np
import torch

from dispr_cli.diffusion.noise import draw_noise, sample_stream

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
