"""attention_3d against float64, in shapes that hurt, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dispr_cli.diffusion.ops import attention_3d, plain
from dispr_cli.errors import ConfigError
from tests.diffusion.ops.law import DTYPES, as_float64, assert_law, laid_out

SHAPES = [
    ((2, 32, 4, 4, 4), 2, 8),
    ((1, 24, 3, 5, 7), 3, 4),  # odd numbers of tokens, heads narrower than a vector
    ((2, 64, 8, 8, 8), 1, 8),  # one wide head, several blocks of keys
    ((1, 96, 3, 5, 9), 2, 6),  # heads between two powers of two, the last block of keys not full
    ((3, 20, 5, 1, 1), 4, 5),  # fewer tokens than a tile has rows
    ((2, 8, 1, 1, 1), 2, 2),  # one token attends to itself
    ((17, 6, 2, 2, 2), 6, 1),  # one channel to a head, a large odd batch
    ((0, 8, 2, 2, 2), 2, 2),  # an empty batch
]


def draw(shape: tuple[int, ...], dtype: torch.dtype, channels_last: bool) -> list[Tensor]:
    """x and the six parameters, scaled so that the softmax is neither flat nor a single key."""
    C = shape[1]
    sizes = ((C,), (C,), (3 * C, C), (3 * C,), (C, C), (C,))
    scales = (1, 1, C**-0.5, 1, C**-0.5, 1)
    of = plain.statistics_dtype(dtype)
    parameters = [scale * torch.randn(size, dtype=of) for size, scale in zip(sizes, scales, strict=True)]
    return [laid_out(torch.randn(shape).to(dtype), channels_last), *parameters]


@pytest.mark.parametrize(("shape", "heads", "groups"), SHAPES)
def test_error_is_within_the_law(
    shape: tuple[int, ...], heads: int, groups: int, instruction_set: str
) -> None:
    torch.manual_seed(sum(shape))
    for channels_last in (False, True):
        for dtype in DTYPES:
            x, *parameters = draw(shape, dtype, channels_last)
            y = attention_3d(x, heads, groups, *parameters)
            by_plain = plain.attention_3d(x, heads, groups, *parameters, 1e-5)
            truth = plain.attention_3d(x.double(), heads, groups, *as_float64(*parameters), 1e-5)
            assert y.stride() == by_plain.stride()
            assert_law(y, by_plain, truth, (channels_last, dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scores_far_apart_neither_overflow_nor_vanish(dtype: torch.dtype, instruction_set: str) -> None:
    torch.manual_seed(0)
    x, *parameters = draw((1, 16, 4, 8, 8), dtype, True)
    parameters[2] *= 40  # scores of several thousands
    y = attention_3d(x, 2, 4, *parameters)
    truth = plain.attention_3d(x.double(), 2, 4, *as_float64(*parameters), 1e-5)
    by_plain = plain.attention_3d(x, 2, 4, *parameters, 1e-5)
    assert_law(y, by_plain, truth, "far apart")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_results_depend_neither_on_threads_nor_on_the_batch_nor_on_calls_before(
    dtype: torch.dtype, instruction_set: str
) -> None:
    torch.manual_seed(1)
    x, *parameters = draw((3, 32, 7, 7, 7), dtype, True)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(attention_3d(x, 4, 8, *parameters))
            # What a call has left behind in memory that is used again must not come back.
            assert attention_3d(torch.full_like(x, torch.nan), 4, 8, *parameters).isnan().all()
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    alone = torch.cat([attention_3d(x[n : n + 1], 4, 8, *parameters) for n in range(3)])
    assert torch.equal(alone, results[0])


def test_every_element_of_the_result_is_written(instruction_set: str) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        x, *parameters = draw((2, 20, 3, 5, 7), dtype, True)
        for _ in range(3):
            poison = [torch.full(x.shape, float("nan"), dtype=dtype) for _ in range(6)]
            del poison
            assert attention_3d(x, 2, 5, *parameters).isfinite().all()


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(2)
    inputs = [tensor.requires_grad_() for tensor in draw((2, 4, 2, 1, 3), torch.float64, True)]
    assert torch.autograd.gradcheck(lambda x, *parameters: attention_3d(x, 2, 2, *parameters), inputs)


def test_gradients_keep_the_precision_of_their_parameters() -> None:
    x, *parameters = draw((1, 8, 2, 2, 2), torch.bfloat16, True)
    leaves = [tensor.requires_grad_() for tensor in (x, *parameters)]
    attention_3d(leaves[0], 2, 2, *leaves[1:]).sum().backward()
    for leaf in leaves:
        assert leaf.grad is not None
        assert leaf.grad.dtype == leaf.dtype


def test_operator_holds_to_the_contract_of_custom_operators() -> None:
    for channels_last in (False, True):
        x, *parameters = (
            tensor.requires_grad_() for tensor in draw((2, 8, 2, 3, 2), torch.float32, channels_last)
        )
        torch.library.opcheck(torch.ops.dispr.attention_3d, (x, 2, 4, *parameters, 1e-5))


def test_plain_version_is_the_softmax_written_out() -> None:
    torch.manual_seed(3)
    x, *parameters = draw((1, 6, 2, 2, 3), torch.float64, False)
    norm_weight, norm_bias, qkv_weight, qkv_bias, proj_weight, proj_bias = parameters
    tokens = torch.nn.functional.group_norm(x, 3, norm_weight, norm_bias)[0].flatten(1).T  # (T, C)
    q, k, v = (tokens @ qkv_weight.T + qkv_bias).reshape(12, 3, 2, 3).unbind(1)  # each (T, heads, 3)
    mixed = [torch.softmax(q[:, h] @ k[:, h].T / 3**0.5, 1) @ v[:, h] for h in range(2)]
    expected = x[0].flatten(1).T + torch.cat(mixed, 1) @ proj_weight.T + proj_bias
    y = plain.attention_3d(x, 2, 3, *parameters, 1e-5)
    torch.testing.assert_close(y[0].flatten(1).T, expected)


@pytest.mark.parametrize(
    ("heads", "groups", "wrong", "message"),
    [
        (3, 2, None, "8 channels cannot be split into 3 heads"),
        (2, 5, None, "8 channels cannot be split into 5 groups"),
        (2, 2, 2, r"qkv_weight has shape \(1,\), expected \(24, 8\)"),
        (2, 2, 5, r"proj_bias has shape \(1,\), expected \(8,\)"),
    ],
)
def test_wrong_shapes_are_named(heads: int, groups: int, wrong: int | None, message: str) -> None:
    x, *parameters = draw((1, 8, 2, 2, 2), torch.float32, False)
    if wrong is not None:
        parameters[wrong] = torch.zeros(1)
    with pytest.raises(ConfigError, match=message):
        attention_3d(x, heads, groups, *parameters)
