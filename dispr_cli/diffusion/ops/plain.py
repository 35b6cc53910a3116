"""The operations in plain PyTorch: what runs without compiled kernels, and what those are tested against.

Layout rule of every operation here and in ``csrc``: a result is channels-last where its input is so in memory
(and not contiguous as well), contiguous otherwise.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def output_format(x: Tensor) -> torch.memory_format:
    """Memory format of a result computed from ``x``, by the layout rule of this room."""
    channels_last = CHANNELS_LAST.get(x.dim())
    if channels_last is None or x.is_contiguous() or not x.is_contiguous(memory_format=channels_last):
        return torch.contiguous_format
    return channels_last


def statistics_dtype(dtype: torch.dtype) -> torch.dtype:
    """Precision of sums and parameters: float64 for float64 tensors, float32 for every other."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _voxels(x: Tensor) -> int:
    return math.prod(x.shape[2:])


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    """Reshape (C,) or (N, C) so that it broadcasts over the spatial axes of ``x``."""
    rows = values if values.dim() == 2 else values.unsqueeze(0)
    return rows.reshape(*rows.shape, *([1] * (x.dim() - 2)))  # (N or 1, C, 1, ...)


def _per_group(values: Tensor, x: Tensor) -> Tensor:
    """Spread (N, G) over the channels of each group, ready to broadcast over ``x``."""
    return _per_channel(values.repeat_interleave(x.shape[1] // values.shape[1], dim=1), x)


def _pre_activation(
    normalised: Tensor, weight: Tensor, bias: Tensor, scale: Tensor | None, shift: Tensor | None
) -> Tensor:
    u = normalised * _per_channel(weight, normalised) + _per_channel(bias, normalised)
    if scale is not None:
        u = u * (1 + _per_channel(scale, u))
    return u if shift is None else u + _per_channel(shift, u)


def group_norm_silu(
    x: Tensor,
    num_groups: int,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    residual: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (y, mean, rstd) of ``silu(group_norm(x) * (1 + scale) + shift) + residual``."""
    layout, dtype = output_format(x), statistics_dtype(x.dtype)
    batch, channels = x.shape[:2]
    groups = x.to(dtype).reshape(batch, num_groups, channels // num_groups * _voxels(x))
    mean = groups.mean(2)
    variance = (groups - mean.unsqueeze(2)).square().mean(2)
    rstd = torch.rsqrt(variance + eps)
    normalised = (x.to(dtype) - _per_group(mean, x)) * _per_group(rstd, x)
    y = F.silu(_pre_activation(normalised, weight, bias, scale, shift))
    if residual is not None:
        y = y + residual
    return y.to(x.dtype).contiguous(memory_format=layout), mean, rstd


def group_norm_silu_backward(
    grad: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    num_groups: int,
    weight: Tensor,
    bias: Tensor,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of x, weight, bias, scale and shift; that of the residual is ``grad`` itself."""
    layout, dtype = output_format(x), statistics_dtype(x.dtype)
    batch, channels = x.shape[:2]
    in_channels = (batch, channels, _voxels(x))
    in_groups = (batch, num_groups, channels // num_groups * _voxels(x))
    normalised = (x.to(dtype) - _per_group(mean, x)) * _per_group(rstd, x)
    u = _pre_activation(normalised, weight, bias, scale, shift)
    sigmoid = torch.sigmoid(u)
    grad_u = grad.to(dtype) * sigmoid * (1 + u * (1 - sigmoid))
    # All parameter gradients follow from two sums per (sample, channel).
    sum_grad = grad_u.reshape(in_channels).sum(2)
    sum_grad_normalised = (grad_u * normalised).reshape(in_channels).sum(2)
    gain = torch.ones_like(sum_grad) if scale is None else 1 + scale
    grad_weight, grad_bias = (gain * sum_grad_normalised).sum(0), (gain * sum_grad).sum(0)
    grad_scale = weight * sum_grad_normalised + bias * sum_grad
    # x̂ has zero mean and unit variance in its group, so dx = rstd (dx̂ − mean(dx̂) − x̂ mean(dx̂ x̂)).
    grad_normalised = grad_u * _per_channel(gain * weight, x)
    mean_grad = grad_normalised.reshape(in_groups).mean(2)
    mean_product = (grad_normalised * normalised).reshape(in_groups).mean(2)
    centred = grad_normalised - _per_group(mean_grad, x) - normalised * _per_group(mean_product, x)
    grad_x = (centred * _per_group(rstd, x)).to(x.dtype).contiguous(memory_format=layout)
    return grad_x, grad_weight, grad_bias, grad_scale, sum_grad


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
    eps: float,
) -> Tensor:
    """Return ``x + proj(attention(qkv(group_norm(x))))`` over all voxels as tokens."""
    layout, (batch, channels), dtype = output_format(x), x.shape[:2], x.dtype
    normalised = F.group_norm(x, num_groups, norm_weight.to(dtype), norm_bias.to(dtype), eps)
    tokens = normalised.flatten(2).transpose(1, 2)  # (N, T, C)
    qkv = F.linear(tokens, qkv_weight.to(dtype), qkv_bias.to(dtype))
    in_heads = qkv.reshape(batch, _voxels(x), 3, num_heads, channels // num_heads)
    q, k, v = in_heads.permute(2, 0, 3, 1, 4)  # each (N, heads, T, C/heads)
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)  # (N, T, C)
    projected = F.linear(mixed, proj_weight.to(dtype), proj_bias.to(dtype)).transpose(1, 2)
    y = x + projected.reshape(x.shape)
    return y.to(dtype).contiguous(memory_format=layout)  # autocast may have chosen another dtype


def convolution_3d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, residual: Tensor | None = None
) -> Tensor:
    """Return the convolution of ``x`` with a 3 x 3 x 3 kernel and a border of zeros, plus ``residual``."""
    y = F.conv3d(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype), padding=1)
    if residual is not None:
        y = y + residual
    return y.to(x.dtype).contiguous(memory_format=output_format(x))


def convolution_3d_bf16(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, residual: Tensor | None = None
) -> Tensor:
    """As :func:`convolution_3d` with everything rounded to bfloat16."""
    return convolution_3d(x.bfloat16(), weight, bias, None if residual is None else residual.bfloat16())


def norm_convolution_3d_bf16(
    x: Tensor,
    num_groups: int,
    norm_weight: Tensor,
    norm_bias: Tensor,
    eps: float,
    scale: Tensor | None,
    shift: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    residual: Tensor | None,
) -> Tensor:
    """As :func:`group_norm_silu`, then :func:`convolution_3d_bf16`."""
    h, _, _ = group_norm_silu(x.bfloat16(), num_groups, norm_weight, norm_bias, eps, scale, shift)
    return convolution_3d_bf16(h, weight, bias, residual)


def patch_rows(x: Tensor, side: int) -> Tensor:
    """One row for each patch of ``side``³ voxels, voxel by voxel: (N, C, D, H, W) -> (M, side³ C)."""
    N, C, D, H, W = x.shape
    cut = x.reshape(N, C, D // side, side, H // side, side, W // side, side)
    return cut.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(-1, side**3 * C)


def volume_of_rows(rows: Tensor, samples: int, tokens: tuple[int, ...], side: int) -> Tensor:
    """Inverse of :func:`patch_rows` for ``tokens`` (D, H, W) patches in each sample; channels last."""
    D, H, W = tokens
    channels = rows.shape[1] // side**3
    cut = rows.reshape(samples, D, H, W, side, side, side, channels).permute(0, 7, 1, 4, 2, 5, 3, 6)
    volume = cut.reshape(samples, channels, D * side, H * side, W * side)
    return volume.contiguous(memory_format=torch.channels_last_3d)


def project_patches(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    gather: int,
    scatter: int,
    repeat: bool,
    scale: Tensor | None,
    residual: Tensor | None,
    bound: float,
) -> Tensor:
    """As :func:`patch_projection`, in the precision that autocast chooses."""
    samples, tokens = x.shape[0], tuple(size // gather for size in x.shape[2:])
    scaled = x if scale is None else x * scale.to(x.dtype)[:, None, None, None, None]
    rows = F.linear(patch_rows(scaled, gather), weight)
    if bias is not None:
        rows = rows + bias.to(rows.dtype)
    y = volume_of_rows(rows, samples, tokens, 1 if repeat else scatter)
    if repeat:
        y = F.interpolate(y, scale_factor=float(scatter))
    if residual is not None:
        y = y + residual
    return y if bound < 0 else y.clamp(-bound, bound)


def patch_projection(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    gather: int,
    scatter: int,
    repeat: bool,
    scale: Tensor | None,
    residual: Tensor | None,
    bound: float,
    bf16: bool,
    wide: bool,
) -> Tensor:
    """Return a linear map of patches of ``gather``³ voxels, laid out as patches of ``scatter``³ voxels."""
    factors = product_dtype(x.dtype, bf16)
    weight, bias = weight.to(factors), None if bias is None else bias.to(factors)
    y = project_patches(x.to(factors), weight, bias, gather, scatter, repeat, scale, residual, bound)
    return y.to(patch_result_dtype(x.dtype, bf16, wide)).contiguous(memory_format=torch.channels_last_3d)


def product_dtype(dtype: torch.dtype, bf16: bool) -> torch.dtype:
    """Precision of the factors of products: ``bf16`` for bfloat16, except in float64."""
    return torch.bfloat16 if bf16 and dtype != torch.float64 else dtype


def patch_result_dtype(dtype: torch.dtype, bf16: bool, wide: bool) -> torch.dtype:
    """Precision of its result: that of the factors, or ``wide`` for float32, except in float64."""
    return torch.float32 if wide and dtype != torch.float64 else product_dtype(dtype, bf16)


def linear_rows(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the linear map of a few rows, (N, in) -> (N, out), each sum in an order of its own."""
    rows = (x[:, None, :] * weight).sum(-1)
    return rows if bias is None else rows + bias


NOISE_CHUNK = 32
"""Words of random bits whose normal numbers stand together: so many cosines, then so many sines."""

WORDS_OF_BLOCK = 4


def noise_blocks(count: int) -> int:
    """Count the blocks of random bits that ``count`` normal numbers of a stream take."""
    return math.ceil(count / (2 * NOISE_CHUNK)) * NOISE_CHUNK // WORDS_OF_BLOCK


def _unsigned(streams: Tensor) -> list[list[int]]:
    """Read words that PyTorch holds as signed."""
    rows: list[list[int]] = streams.contiguous().numpy().view(np.uint64).tolist()
    return rows


def normal_noise(streams: Tensor, count: int) -> Tensor:
    """Return ``count`` normal numbers from each stream: NumPy's Philox made normal by Box and Muller."""
    rows = np.empty((len(streams), count), np.float32)
    for row, (low, high, block) in zip(rows, _unsigned(streams), strict=True):
        bits = np.random.Philox(key=low | high << 64, counter=block)
        words = bits.random_raw(noise_blocks(count) * WORDS_OF_BLOCK).reshape(-1, NOISE_CHUNK)
        uniform = (words.astype(np.uint32) >> np.uint32(1) | np.uint32(1)).astype(np.float32) * 2.0**-31
        angle = (words >> np.uint64(32)).astype(np.uint32).astype(np.int32) * (math.tau / 2.0**32)
        radius = np.sqrt(-2.0 * np.log(uniform.astype(np.float64)))
        row[:] = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()[:count]
    return torch.from_numpy(rows)


def attention_3d_backward(
    grad: Tensor,
    x: Tensor,
    num_heads: int,
    num_groups: int,
    norm_weight: Tensor,
    norm_bias: Tensor,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    eps: float,
) -> tuple[Tensor, ...]:
    """Return the gradients of x and of the six parameters, by computing the block once more."""
    parameters = (norm_weight, norm_bias, qkv_weight, qkv_bias, proj_weight, proj_bias)
    with torch.enable_grad():
        leaf, *leaves = (tensor.detach().requires_grad_() for tensor in (x, *parameters))
        y = attention_3d(leaf, num_heads, num_groups, *leaves, eps)  # type: ignore[call-arg, arg-type]
        grads = torch.autograd.grad(y, (leaf, *leaves), grad)
    return (grads[0].contiguous(memory_format=output_format(x)), *(g.contiguous() for g in grads[1:]))
