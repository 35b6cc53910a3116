"""``convolution_3d``: the 3 x 3 x 3 convolution with bias and residual sum, with its gradient."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dispr_cli.diffusion.ops import plain
from dispr_cli.diffusion.ops.arguments import check_axes, check_shapes
from dispr_cli.diffusion.ops.library import LIBRARY
from dispr_cli.diffusion.ops.precision import computes_in_bf16, computes_in_full, needs_gradient


def convolution_3d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, residual: Tensor | None = None
) -> Tensor:
    """Convolution with a 3 x 3 x 3 kernel, stride 1 and a border of zeros, plus a residual.

    In float32 on the CPU by Winograd's minimal filtering (Lavin & Gray 2016, F(2, 3) along each axis), which
    takes 64 products where the definition takes 216; in bfloat16 there, without gradients, as products of
    tiles where the processor has them; in other formats and on other devices by PyTorch's own.

    Parameters
    ----------
    x
        (N, C, D, H, W), contiguous or channels-last.
    weight
        (K, C, 3, 3, 3).
    bias
        (K,); None leaves it out.
    residual
        (N, K, D, H, W), added to the result; None leaves it out.

    Returns
    -------
    Tensor
        (N, K, D, H, W); channels-last where ``x`` is.

    Raises
    ------
    ConfigError
        If a shape, dtype or device does not fit ``x``.
    """
    check_convolution("convolution_3d", x, weight, bias, residual)
    if computes_in_bf16(x) and not needs_gradient(x, weight, bias, residual):
        bf16: Tensor = torch.ops.dispr.convolution_3d_bf16(x, weight, bias, residual)
        return bf16
    if not computes_in_full(x):
        y = F.conv3d(x, weight, bias, padding=1)
        return y if residual is None else residual + y
    dtype = x.dtype
    return torch.ops.dispr.convolution_3d(
        x,
        weight.to(dtype),
        None if bias is None else bias.to(dtype),
        None if residual is None else residual.to(dtype),
    )


def check_convolution(
    operation: str, x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None
) -> None:
    """Refuse arguments of the convolution that do not fit; ``operation`` is named in the error.

    Raises
    ------
    ConfigError
        As :func:`convolution_3d` says.
    """
    check_axes(operation, x, 5)
    outputs = weight.shape[0] if weight.dim() else 0
    expected = {"weight": (weight, (outputs, x.shape[1], 3, 3, 3)), "bias": (bias, (outputs,))}
    check_shapes(operation, x, expected | {"residual": (residual, (x.shape[0], outputs, *x.shape[2:]))})


@torch.library.register_fake("dispr::convolution_3d", lib=LIBRARY)
def _fake(x: Tensor, weight: Tensor, *_: Tensor | None) -> Tensor:
    shape = (x.shape[0], weight.shape[0], *x.shape[2:])
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=plain.output_format(x))


@torch.library.register_fake("dispr::convolution_3d_bf16", lib=LIBRARY)
def _fake_bf16(x: Tensor, weight: Tensor, *rest: Tensor | None) -> Tensor:
    return _fake(x, weight, *rest).bfloat16()


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, residual = inputs
    ctx.has_bias, ctx.has_residual = bias is not None, residual is not None
    ctx.save_for_backward(x, weight)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
    # The gradient of a correlation's input is the correlation with the kernel turned round.
    turned = weight.transpose(0, 1).flip(2, 3, 4)
    grad_x = torch.ops.dispr.convolution_3d(grad, turned, None, None) if needs_x else None
    ones, zeros = [1, 1, 1], [0, 0, 0]
    wanted = [False, needs_weight, needs_bias]
    _, grad_weight, grad_bias = torch.ops.aten.convolution_backward(
        grad, x, weight, [weight.shape[0]], ones, ones, ones, False, zeros, 1, wanted
    )
    return grad_x, grad_weight, grad_bias, grad if ctx.has_residual else None


torch.library.register_autograd("dispr::convolution_3d", _backward, setup_context=_setup_context, lib=LIBRARY)
