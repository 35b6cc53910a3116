"""normal_noise: NumPy's bits, made normal, the same however they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from dispr_cli.diffusion.ops import noise_blocks, normal_noise, plain


def draw_streams(count: int) -> Tensor:
    generator = np.random.default_rng(0)
    keys = generator.integers(-(2**63), 2**63 - 1, (count, 2), endpoint=True)
    return torch.from_numpy(np.column_stack([keys, np.array([0, 5, 2**40][:count])]))


@pytest.mark.parametrize("count", [1, 31, 32, 63, 64, 65, 2048, 2049, 100_003])
def test_numbers_are_those_of_numpys_bits(count: int, instruction_set: str) -> None:
    streams = draw_streams(3)
    y = normal_noise(streams, count)
    assert y.shape == (3, count)
    torch.testing.assert_close(y, plain.normal_noise(streams, count), rtol=0, atol=2e-6)


def test_plain_numbers_are_box_and_mullers() -> None:
    word = int(np.random.Philox(key=3).random_raw(1)[0])
    radius = (-2 * np.log((word % 2**32 // 2 | 1) / 2**31)) ** 0.5
    angle = 2 * np.pi * (word >> 32) / 2**32
    y = plain.normal_noise(torch.tensor([[3, 0, 0]]), 64)[0]
    assert y[0].item() == pytest.approx(radius * np.cos(angle), abs=1e-6)
    assert y[32].item() == pytest.approx(radius * np.sin(angle), abs=1e-6)


def test_a_stream_goes_on_where_it_stopped(instruction_set: str) -> None:
    streams = draw_streams(2)
    later = streams.clone()
    later[:, 2] += noise_blocks(640)
    whole = normal_noise(streams, 1280)
    assert torch.equal(normal_noise(streams, 640), whole[:, :640])
    assert torch.equal(normal_noise(later, 640), whole[:, 640:])
    assert noise_blocks(641) == noise_blocks(640) + 8


def test_numbers_depend_neither_on_threads_nor_on_company(instruction_set: str) -> None:
    streams = draw_streams(3)
    before = torch.get_num_threads()
    try:
        drawn = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            drawn.append(normal_noise(streams, 70_000))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.cat([normal_noise(one[None], 70_000) for one in streams]), drawn[0])


def test_they_are_normal_far_out_and_independent_of_their_neighbours(instruction_set: str) -> None:
    y = normal_noise(torch.tensor([[1, 2, 0]]), 1 << 21)[0].double().numpy()
    assert stats.kstest(y, "norm").pvalue > 1e-3
    for limit in (3.0, 4.0):
        expected = len(y) * 2 * stats.norm.sf(limit)
        assert abs((np.abs(y) > limit).sum() - expected) < 4 * expected**0.5
    for lag in (1, 31, 32, 33, 64):
        assert abs(np.mean(y[:-lag] * y[lag:])) < 4 / len(y) ** 0.5
        assert abs(np.mean((y[:-lag] ** 2 - 1) * (y[lag:] ** 2 - 1))) < 4 * 2 / len(y) ** 0.5


def test_operator_holds_to_the_contract_of_custom_operators() -> None:
    torch.library.opcheck(torch.ops.dispr.normal_noise, (draw_streams(2), 100))


def test_no_streams_give_no_numbers() -> None:
    assert normal_noise(torch.zeros(0, 3, dtype=torch.int64), 64).shape == (0, 64)
