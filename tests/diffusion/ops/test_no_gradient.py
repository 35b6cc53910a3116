"""A derivative is right or an error, never a silent zero."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dispr_cli.diffusion.ops import attention_3d, convolution_3d, group_norm_silu, patch_projection


def double(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def norm_and_attention() -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """For each operation x, a parameter, and the result."""
    x, weight, bias = double(1, 4, 2, 2, 2), double(4), double(4)
    parameters = [double(*shape) for shape in ((4,), (4,), (12, 4), (12,), (4, 4), (4,))]
    return {
        "group_norm_silu": (x, weight, group_norm_silu(x, 2, weight, bias)),
        "attention_3d": (x, parameters[0], attention_3d(x, 2, 2, *parameters)),
    }


@pytest.mark.parametrize("operation", ["group_norm_silu", "attention_3d"])
def test_second_derivatives_that_are_not_there_are_refused(operation: str) -> None:
    x, weight, y = norm_and_attention()[operation]
    # Of the sum the gradient that comes in is constant: only what was saved ties the second derivative to x.
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    penalty = first.square().sum() + weight.square().sum()
    for wanted in (x, weight):
        with pytest.raises(RuntimeError, match=f"{operation} has no second derivative"):
            torch.autograd.grad(penalty, wanted, retain_graph=True)


@pytest.mark.parametrize("operation", ["group_norm_silu", "attention_3d"])
def test_a_graph_that_was_asked_for_changes_no_first_derivative(operation: str) -> None:
    x, weight, y = norm_and_attention()[operation]
    plainly = torch.autograd.grad(y.square().sum(), (x, weight), retain_graph=True)
    with_graph = torch.autograd.grad(y.square().sum(), (x, weight), create_graph=True)
    assert all(torch.equal(a, b) for a, b in zip(plainly, with_graph, strict=True))


def test_the_other_operations_have_second_derivatives() -> None:
    torch.manual_seed(0)
    x, weight, bias = double(1, 2, 2, 3, 2), double(2, 2, 3, 3, 3), double(2)
    assert torch.autograd.gradgradcheck(convolution_3d, (x, weight, bias, double(1, 2, 2, 3, 2)))
    volume, rows = double(1, 1, 4, 2, 2), double(3, 8)
    assert torch.autograd.gradgradcheck(
        lambda v, w, b: patch_projection(v, w, b, gather=2), (volume, rows, double(3))
    )


@pytest.mark.parametrize(
    ("operator", "function"),
    [("convolution_3d_bf16", "convolution_3d"), ("linear_rows", "linear_rows")],
)
def test_operators_for_inference_say_what_to_call_for_a_gradient(operator: str, function: str) -> None:
    shapes = {
        "convolution_3d_bf16": ((1, 2, 2, 2, 2), (2, 2, 3, 3, 3), None, None),
        "linear_rows": ((2, 3), (4, 3), None),
    }[operator]
    given = [None if shape is None else torch.randn(shape, requires_grad=True) for shape in shapes]
    y = getattr(torch.ops.dispr, operator)(*given)
    with pytest.raises(RuntimeError, match=f"call dispr_cli.diffusion.ops.{function}$"):
        y.sum().backward()
