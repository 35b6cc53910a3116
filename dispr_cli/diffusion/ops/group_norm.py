"""``group_norm_silu``: GroupNorm, FiLM, SiLU and the residual sum in one operation, with its gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dispr_cli.diffusion.ops import plain
from dispr_cli.diffusion.ops.arguments import check_axes, check_divides, check_shapes
from dispr_cli.diffusion.ops.library import LIBRARY
from dispr_cli.diffusion.ops.no_gradient import differentiable_once


def group_norm_silu(
    x: Tensor,
    num_groups: int,
    weight: Tensor,
    bias: Tensor,
    eps: float = 1e-5,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    residual: Tensor | None = None,
) -> Tensor:
    """Group normalisation, FiLM, SiLU and residual sum: memory is read twice and written once.

    Computes ``silu(((x − mean) · rstd · weight + bias) · (1 + scale) + shift) + residual``, with mean and
    variance per sample and group (Wu & He 2018, eq. 1), in float32 (float64 for float64 tensors).

    Parameters
    ----------
    x
        (N, C, ...), float32, bfloat16, float16 or float64, contiguous or channels-last.
    num_groups
        Number of groups; divides C.
    weight, bias
        (C,) affine parameters of the normalisation.
    eps
        Added to the variance.
    scale, shift
        (N, C) modulation per sample and channel (FiLM, Perez et al. 2018); None leaves it out.
    residual
        Tensor of x's shape that is added after the activation; None leaves it out.

    Returns
    -------
    Tensor
        Shape and dtype of ``x``; channels-last where ``x`` is, contiguous otherwise.

    Raises
    ------
    ConfigError
        If the number of groups does not divide the channels, or a shape, dtype or device does not fit ``x``.
    """
    check_group_norm("group_norm_silu", x, num_groups, weight, bias, scale, shift)
    check_shapes("group_norm_silu", x, {"residual": (residual, x.shape)})
    dtype = plain.statistics_dtype(x.dtype)
    return torch.ops.dispr.group_norm_silu(
        x,
        num_groups,
        weight.to(dtype),
        bias.to(dtype),
        eps,
        None if scale is None else scale.to(dtype),
        None if shift is None else shift.to(dtype),
        None if residual is None else residual.to(x.dtype),
    )[0]


def check_group_norm(
    operation: str,
    x: Tensor,
    num_groups: int,
    weight: Tensor,
    bias: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
) -> None:
    """Refuse arguments of a group norm with FiLM that do not fit; ``operation`` is named in the error.

    Raises
    ------
    ConfigError
        As :func:`group_norm_silu` says.
    """
    check_axes(operation, x, 2, 64)
    samples, channels = x.shape[:2]
    check_divides(operation, num_groups, channels, "groups")
    per_channel, per_sample = (channels,), (samples, channels)
    expected = {"weight": (weight, per_channel), "bias": (bias, per_channel)}
    check_shapes(operation, x, expected | {"scale": (scale, per_sample), "shift": (shift, per_sample)})


@torch.library.register_fake("dispr::group_norm_silu", lib=LIBRARY)
def _fake(
    x: Tensor, num_groups: int, weight: Tensor, bias: Tensor, eps: float, *_: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    y = torch.empty_like(x, memory_format=plain.output_format(x))
    mean = x.new_empty((x.shape[0], num_groups), dtype=plain.statistics_dtype(x.dtype))
    return y, mean, torch.empty_like(mean)


@torch.library.register_fake("dispr::group_norm_silu_backward", lib=LIBRARY)
def _fake_backward(
    grad: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    num_groups: int,
    weight: Tensor,
    bias: Tensor,
    *_: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    modulation = mean.new_empty(x.shape[:2])
    grad_x = torch.empty_like(x, memory_format=plain.output_format(x))
    return grad_x, torch.empty_like(weight), torch.empty_like(bias), modulation, torch.empty_like(modulation)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    x, ctx.num_groups, weight, bias, _, scale, shift, residual = inputs
    _, mean, rstd = output
    ctx.mark_non_differentiable(mean, rstd)
    ctx.has_scale, ctx.has_shift, ctx.has_residual = (
        scale is not None,
        shift is not None,
        residual is not None,
    )
    ctx.save_for_backward(x, mean, rstd, weight, bias, scale, shift)


def _backward(ctx: Any, grad: Tensor, _grad_mean: Tensor, _grad_rstd: Tensor) -> tuple[Tensor | None, ...]:
    x, mean, rstd, weight, bias, scale, shift = ctx.saved_tensors
    grad_x, grad_weight, grad_bias, grad_scale, grad_shift = torch.ops.dispr.group_norm_silu_backward(
        grad, x, mean, rstd, ctx.num_groups, weight, bias, scale, shift
    )
    return (
        grad_x,
        None,
        grad_weight,
        grad_bias,
        None,
        grad_scale if ctx.has_scale else None,
        grad_shift if ctx.has_shift else None,
        grad if ctx.has_residual else None,
    )


_once = differentiable_once("group_norm_silu", _backward)
torch.library.register_autograd("dispr::group_norm_silu", _once, setup_context=_setup_context, lib=LIBRARY)
