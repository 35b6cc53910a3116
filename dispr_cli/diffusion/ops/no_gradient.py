"""What has no gradient says so: PyTorch would let it be zero without a word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor

from dispr_cli.diffusion.ops.library import LIBRARY

Gradients = tuple[Tensor | None, ...]

_ELSEWHERE = {
    "convolution_3d_bf16": "convolution_3d",
    "norm_convolution_3d_bf16": "norm_convolution_3d",
    "linear_rows": "linear_rows",
}
"""Operators for inference, and the functions of this room that choose others where a gradient is wanted."""


class _Refusal(torch.autograd.Function):
    """Hands a gradient on, tied to what it was computed from; its own gradient is an error."""

    @staticmethod
    def forward(ctx: Any, operation: str, gradient: Tensor, *computed_from: Tensor) -> Tensor:
        ctx.operation = operation
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> NoReturn:
        raise RuntimeError(f"{ctx.operation} has no second derivative")


def differentiable_once(operation: str, backward: Callable[..., Gradients]) -> Callable[..., Gradients]:
    """Have the gradients that ``backward`` returns raise an error when they are differentiated."""

    def run(ctx: Any, *grads: Tensor | None) -> Gradients:
        given = [t for t in (*grads, *ctx.saved_tensors) if t is not None and t.requires_grad]
        if not (torch.is_grad_enabled() and given):
            return backward(ctx, *grads)
        with torch.no_grad():
            found = backward(ctx, *grads)
        return tuple(None if g is None else _Refusal.apply(operation, g, *given) for g in found)

    return run


def _without_gradient(operator: str, function: str) -> None:
    def backward(ctx: Any, *_: Tensor) -> NoReturn:
        raise RuntimeError(
            f"the operator dispr::{operator} has no gradient: call dispr_cli.diffusion.ops.{function}"
        )

    torch.library.register_autograd(f"dispr::{operator}", backward, lib=LIBRARY)


for _operator, _function in _ELSEWHERE.items():
    _without_gradient(_operator, _function)
