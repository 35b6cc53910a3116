"""``patch_projection``: a linear map of patches, from one grid of voxels onto another, with its gradient."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from dispr_cli.diffusion.ops import plain
from dispr_cli.diffusion.ops.arguments import check_axes, check_shapes
from dispr_cli.diffusion.ops.library import LIBRARY
from dispr_cli.diffusion.ops.precision import computes_in_bf16, computes_in_full
from dispr_cli.errors import ConfigError

NO_BOUND = -1.0


def patch_projection(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    gather: int = 1,
    scatter: int = 1,
    repeat: bool = False,
    scale: Tensor | None = None,
    residual: Tensor | None = None,
    bound: float = NO_BOUND,
    wide: bool = False,
) -> Tensor:
    """Linear map of patches: space-to-depth, 1 x 1 x 1 convolution, depth-to-space or upsampling as one.

    A token is a patch of ``gather``³ voxels; its values are their channels, voxel by voxel. With ``gather``
    alone this is a convolution whose stride is its kernel, with ``scatter`` alone its transpose, and with
    ``repeat`` a 1 x 1 x 1 convolution followed by nearest upsampling.

    Parameters
    ----------
    x
        (N, C, D, H, W), contiguous or channels-last.
    weight
        (K, gather³ C).
    bias
        (K,); None leaves it out.
    gather, scatter
        Sides of the patches read and written.
    repeat
        Write all outputs of a token to each of its ``scatter``³ voxels, in place of a share to each.
    scale
        (N,) factors of the linear map, not of the bias; None leaves them out. They get no gradient.
    residual
        Added to the result; None leaves it out.
    bound
        The result is clipped to [-bound, bound]; negative for no bound. Without gradient.
    wide
        The result is float32 also where autocast has the factors rounded to bfloat16, and it with them.

    Returns
    -------
    Tensor
        (N, K / scatter³, scatter D / gather, ...), or K channels with ``repeat``; channels-last.

    Raises
    ------
    ConfigError
        If patches do not fill the volume, or a shape, dtype or device does not fit ``x``.
    """
    _check(x, weight, bias, gather, scatter, repeat, scale, residual)
    given = (x, weight, bias, gather, scatter, repeat, scale, residual, bound)
    bf16 = computes_in_bf16(x)
    if bf16 or computes_in_full(x):
        y: Tensor = torch.ops.dispr.patch_projection(*given, bf16, wide)
        return y
    y = plain.project_patches(*given)
    return y.to(plain.patch_result_dtype(y.dtype, False, wide))


def _result_shape(x: Tensor, weight: Tensor, gather: int, scatter: int, repeat: bool) -> tuple[int, ...]:
    channels = weight.shape[0] if repeat else weight.shape[0] // scatter**3
    return (x.shape[0], channels, *(size // gather * scatter for size in x.shape[2:]))


def _check(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    gather: int,
    scatter: int,
    repeat: bool,
    scale: Tensor | None,
    residual: Tensor | None,
) -> None:
    check_axes("patch_projection", x, 5)
    outputs, voxels = weight.shape[0] if weight.dim() else 0, tuple(x.shape[2:])
    if gather < 1 or any(size % gather for size in voxels):
        raise ConfigError(f"patch_projection: patches of side {gather} do not fill {voxels} voxels.")
    if scatter < 1 or outputs < 1 or (not repeat and outputs % scatter**3):
        raise ConfigError(f"patch_projection: {outputs} outputs cannot be spread over {scatter}³ voxels.")
    shape = _result_shape(x, weight, gather, scatter, repeat)
    expected = {"weight": (weight, (outputs, gather**3 * x.shape[1])), "bias": (bias, (outputs,))}
    others = {"scale": (scale, (x.shape[0],)), "residual": (residual, shape)}
    check_shapes("patch_projection", x, expected | others)


@torch.library.register_fake("dispr::patch_projection", lib=LIBRARY)
def _fake(
    x: Tensor, weight: Tensor, _: Tensor | None, gather: int, scatter: int, repeat: bool, *rest: Any
) -> Tensor:
    shape, dtype = (
        _result_shape(x, weight, gather, scatter, repeat),
        plain.patch_result_dtype(x.dtype, *rest[-2:]),
    )
    return torch.empty(shape, dtype=dtype, device=x.device, memory_format=torch.channels_last_3d)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, ctx.gather, ctx.scatter, ctx.repeat, scale, residual, bound, ctx.bf16, _ = inputs
    ctx.bias_dtype, ctx.residual_dtype = (None if t is None else t.dtype for t in (bias, residual))
    ctx.bounded = bound >= 0
    ctx.save_for_backward(x, weight, scale)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    if ctx.bounded:
        raise RuntimeError("patch_projection has no gradient where its result is bounded")
    x, weight, scale = ctx.saved_tensors
    N, tokens = x.shape[0], tuple(size // ctx.gather for size in x.shape[2:])
    rows = plain.patch_rows(grad, ctx.scatter)  # one for each token
    if ctx.repeat:
        rows = rows.reshape(len(rows), ctx.scatter**3, weight.shape[0]).sum(1)
    grad_bias = None if ctx.bias_dtype is None else rows.sum(0, dtype=ctx.bias_dtype)
    if scale is not None:
        rows = rows * scale.repeat_interleave(math.prod(tokens))[:, None]
    factors = plain.product_dtype(x.dtype, ctx.bf16)
    rows = rows.to(factors)
    grad_x = plain.volume_of_rows(rows @ weight.to(factors), N, tokens, ctx.gather).to(x.dtype)
    grad_weight = (rows.t() @ plain.patch_rows(x, ctx.gather).to(factors)).to(weight.dtype)
    grad_residual = None if ctx.residual_dtype is None else grad.to(ctx.residual_dtype)
    return grad_x, grad_weight, grad_bias, None, None, None, None, grad_residual, *[None] * 3


torch.library.register_autograd(
    "dispr::patch_projection", _backward, setup_context=_setup_context, lib=LIBRARY
)
