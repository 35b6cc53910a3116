"""``attention_3d``: the denoiser's whole self-attention block as one operation, with its gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dispr_cli.diffusion.ops import plain
from dispr_cli.diffusion.ops.arguments import check_axes, check_divides, check_shapes
from dispr_cli.diffusion.ops.library import LIBRARY
from dispr_cli.diffusion.ops.no_gradient import differentiable_once


def attention_3d(
    x: Tensor,
    num_heads: int,
    num_groups: int,
    norm_weight: Tensor,
    norm_bias: Tensor,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    eps: float = 1e-5,
) -> Tensor:
    """Self-attention over all voxels, from the normalisation to the residual sum.

    Computes ``x + proj(softmax(q kᵀ / √head_dim) v)`` with q, k, v projected from the group-normalised input
    (Vaswani et al. 2017, eq. 1); the softmax is computed online with float32 sums (Dao et al. 2022).

    Parameters
    ----------
    x
        (N, C, D, H, W), float32, bfloat16, float16 or float64, contiguous or channels-last.
    num_heads
        Number of heads; divides C.
    num_groups
        Groups of the normalisation; divides C.
    norm_weight, norm_bias
        (C,) affine parameters of the normalisation.
    qkv_weight, qkv_bias
        (3C, C) and (3C,): rows of q, then k, then v, each ordered by head.
    proj_weight, proj_bias
        (C, C) and (C,) of the output projection.
    eps
        Added to the variance.

    Returns
    -------
    Tensor
        Shape and dtype of ``x``; channels-last where ``x`` is, contiguous otherwise.

    Raises
    ------
    ConfigError
        If heads or groups do not divide the channels, or a shape, dtype or device does not fit ``x``.
    """
    parameters = (norm_weight, norm_bias, qkv_weight, qkv_bias, proj_weight, proj_bias)
    _check(x, num_heads, num_groups, *parameters)
    return torch.ops.dispr.attention_3d(x, num_heads, num_groups, *parameters, eps)


def _check(x: Tensor, num_heads: int, num_groups: int, *parameters: Tensor) -> None:
    check_axes("attention_3d", x, 5)
    C = x.shape[1]
    check_divides("attention_3d", num_heads, C, "heads")
    check_divides("attention_3d", num_groups, C, "groups")
    names = ("norm_weight", "norm_bias", "qkv_weight", "qkv_bias", "proj_weight", "proj_bias")
    shapes = ((C,), (C,), (3 * C, C), (3 * C,), (C, C), (C,))
    check_shapes("attention_3d", x, dict(zip(names, zip(parameters, shapes, strict=True), strict=True)))


@torch.library.register_fake("dispr::attention_3d", lib=LIBRARY)
def _fake(x: Tensor, *_: object) -> Tensor:
    return torch.empty_like(x, memory_format=plain.output_format(x))


@torch.library.register_fake("dispr::attention_3d_backward", lib=LIBRARY)
def _fake_backward(
    grad: Tensor, x: Tensor, num_heads: int, num_groups: int, *rest: Any
) -> tuple[Tensor, ...]:
    *parameters, _eps = rest
    grad_x = torch.empty_like(x, memory_format=plain.output_format(x))
    return (grad_x, *(torch.empty_like(p, memory_format=torch.contiguous_format) for p in parameters))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, ctx.num_heads, ctx.num_groups, *parameters, ctx.eps = inputs
    ctx.save_for_backward(x, *parameters)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, *parameters = ctx.saved_tensors
    grad_x, *grads = torch.ops.dispr.attention_3d_backward(
        grad, x, ctx.num_heads, ctx.num_groups, *parameters, ctx.eps
    )
    return (grad_x, None, None, *grads, None)


_once = differentiable_once("attention_3d", _backward)
torch.library.register_autograd("dispr::attention_3d", _once, setup_context=_setup_context, lib=LIBRARY)
