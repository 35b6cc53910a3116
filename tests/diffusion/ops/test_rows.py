"""linear_rows against float64, and its independence of everything but its rows."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dispr_cli.diffusion.ops import linear_rows, plain
from tests.diffusion.ops.law import as_float64, assert_law

SHAPES = [(5, 256, 256), (1, 32, 64), (17, 7, 3), (3, 1, 1), (4, 33, 40), (0, 8, 8)]


@pytest.mark.parametrize(("rows", "inputs", "outputs"), SHAPES)
def test_error_is_within_the_law(rows: int, inputs: int, outputs: int, instruction_set: str) -> None:
    torch.manual_seed(rows)
    for dtype in (torch.float32, torch.float64):
        x, weight = torch.randn(rows, inputs, dtype=dtype), torch.randn(outputs, inputs, dtype=dtype)
        for bias in (None, torch.randn(outputs, dtype=dtype)):
            y, by_plain = (run(x, weight, bias) for run in (torch.ops.dispr.linear_rows, plain.linear_rows))
            assert_law(y, by_plain, plain.linear_rows(*as_float64(x, weight, bias)), (dtype, bias is None))


def test_results_depend_neither_on_threads_nor_on_company(instruction_set: str) -> None:
    torch.manual_seed(1)
    x, weight, bias = torch.randn(7, 300), torch.randn(500, 300), torch.randn(500)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(linear_rows(x, weight, bias))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    assert torch.equal(torch.cat([linear_rows(row[None], weight, bias) for row in x]), results[0])


def test_it_is_a_linear_layer_with_gradients_and_in_any_precision() -> None:
    x, weight, bias = torch.randn(3, 8), torch.randn(5, 8, requires_grad=True), torch.randn(5)
    y = linear_rows(x, weight, bias)
    torch.testing.assert_close(y, F.linear(x, weight, bias))
    torch.testing.assert_close(torch.autograd.grad(y.sum(), weight)[0], x.sum(0).expand(5, 8))
    bf16 = linear_rows(x.bfloat16(), weight.detach(), bias)
    assert bf16.dtype == torch.bfloat16
    torch.testing.assert_close(bf16.float(), linear_rows(x, weight.detach(), bias), rtol=0.02, atol=0.05)


def test_operator_holds_to_the_contract_of_custom_operators() -> None:
    torch.library.opcheck(torch.ops.dispr.linear_rows, (torch.randn(2, 5), torch.randn(3, 5), torch.randn(3)))
    torch.library.opcheck(torch.ops.dispr.linear_rows, (torch.randn(2, 5), torch.randn(3, 5), None))
