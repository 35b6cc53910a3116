"""norm_convolution_3d beside the two operations it stands for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from dispr_cli.diffusion.ops import convolution_3d, group_norm_silu, library, norm_convolution_3d, plain
from tests.diffusion.ops.law import as_float64, assert_law, laid_out

SHAPES = [
    ((2, 32, 4, 4, 16), 4, 32),  # lines of whole tiles
    ((2, 48, 3, 8, 8), 3, 40),  # lines run on into the next
    ((1, 12, 5, 3, 7), 4, 9),  # channels and outputs to be filled up
    ((3, 8, 1, 1, 1), 8, 16),  # one voxel, all border
    ((0, 16, 2, 2, 2), 2, 16),  # an empty batch
]


def draw(shape: tuple[int, ...], outputs: int, dtype: torch.dtype, channels_last: bool) -> list[Any]:
    """Arguments from the norm's weight on."""
    N, C, *space = shape
    x = laid_out(torch.randn(shape).to(dtype), channels_last)
    norm = [torch.randn(C), torch.randn(C), 1e-5, torch.randn(N, C), torch.randn(N, C)]
    weight = torch.randn(outputs, C, 3, 3, 3) / (27 * C) ** 0.5
    return [x, *norm, weight, torch.randn(outputs), torch.randn(N, outputs, *space).to(dtype)]


def run(operation: Any, groups: int, x: Tensor, *given: Any) -> Tensor:
    y: Tensor = operation(x, groups, *given)
    return y


@pytest.mark.parametrize(("shape", "groups", "outputs"), SHAPES)
def test_error_is_within_the_law(
    shape: tuple[int, ...], groups: int, outputs: int, instruction_set: str
) -> None:
    torch.manual_seed(sum(shape))
    for channels_last in (False, True):
        for dtype in (torch.float32, torch.bfloat16):
            x, norm_weight, norm_bias, eps, *rest = draw(shape, outputs, dtype, channels_last)
            for scale, shift, weight, bias, residual in (rest, [None, None, rest[2], None, None]):
                given = (norm_weight, norm_bias, eps, scale, shift, weight, bias, residual)
                y = run(torch.ops.dispr.norm_convolution_3d_bf16, groups, x, *given)
                by_plain = run(plain.norm_convolution_3d_bf16, groups, x, *given)
                exact = (*as_float64(norm_weight, norm_bias), eps, *as_float64(scale, shift))
                h = plain.group_norm_silu(x.double(), groups, *exact)[0]
                truth = plain.convolution_3d(h, *as_float64(weight, bias, residual))
                assert y.is_contiguous(memory_format=plain.output_format(x))
                assert_law(y, by_plain, truth, (channels_last, dtype, scale is None))


def test_results_depend_neither_on_threads_nor_on_the_batch_nor_on_calls_before() -> None:
    torch.manual_seed(1)
    x, *given = draw((5, 40, 7, 6, 7), 24, torch.bfloat16, True)
    operation = torch.ops.dispr.norm_convolution_3d_bf16
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(run(operation, 5, x, *given))
            assert run(operation, 5, torch.full_like(x, torch.nan), *given).isnan().all()
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    if not library.convolves_bf16():
        return  # PyTorch's own chooses by batch
    norm_weight, norm_bias, eps, scale, shift, weight, bias, residual = given
    for n in range(5):
        one = slice(n, n + 1)
        own = (norm_weight, norm_bias, eps, scale[one], shift[one], weight, bias, residual[one])
        assert torch.equal(run(operation, 5, x[one], *own), results[0][one])


@pytest.mark.parametrize("precision", ["full", "bf16", "bf16 with gradient"])
def test_it_is_a_norm_and_a_convolution(precision: str) -> None:
    torch.manual_seed(2)
    x, *given = draw((2, 16, 4, 4, 8), 16, torch.float32, True)
    weight = torch.nn.Parameter(given[5])
    given[5] = weight
    with (
        torch.set_grad_enabled(precision != "bf16"),
        torch.autocast("cpu", torch.bfloat16, enabled=precision != "full"),
    ):
        y = run(norm_convolution_3d, 4, x, *given)
        expected = convolution_3d(group_norm_silu(x, 4, *given[:5]), *given[5:])
    assert y.dtype == expected.dtype
    assert y.requires_grad == (precision != "bf16")
    torch.testing.assert_close(
        y.float(), expected.float(), rtol=0.02, atol=0.02 if y.dtype != x.dtype else 1e-5
    )


def test_operator_holds_to_the_contract_of_custom_operators() -> None:
    x, *given = draw((2, 8, 3, 2, 4), 6, torch.bfloat16, True)
    torch.library.opcheck(torch.ops.dispr.norm_convolution_3d_bf16, (x, 2, *given))


def test_its_convolution_is_counted() -> None:
    x, *given = draw((2, 8, 4, 5, 6), 16, torch.bfloat16, True)
    with FlopCounterMode(display=False) as counter:
        run(torch.ops.dispr.norm_convolution_3d_bf16, 2, x, *given)
    assert counter.get_total_flops() == 2 * 27 * 8 * 16 * 240
