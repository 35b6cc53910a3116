"""How fast every operation runs on the tensors it meets in a call of the denoiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dispr_cli.config import GRID, DenoiserConfig
from dispr_cli.diffusion.ops import plain
from dispr_cli.diffusion.ops.clock import calls_in_turns
from dispr_cli.diffusion.ops.limits import product_of_matrices
from dispr_cli.diffusion.ops.timing import (
    OpTiming,
    drawn,
    groups_of,
    time_attention,
    time_group_norm,
    timing_of,
)

NOISE_FLOP = 25
"""Operations on a number in ``normal_noise`` after its bits: half a logarithm, a root, sine and cosine."""


def network_shapes(config: DenoiserConfig, batch: int) -> list[tuple[int, ...]]:
    """Shapes of the tensors the denoiser normalises, at its two levels."""
    side = GRID // config.patch
    fine, coarse = config.channels
    return [(batch, fine, side, side, side), (batch, coarse, side // 2, side // 2, side // 2)]


def time_network_operations(
    config: DenoiserConfig,
    batch: int,
    dtype: torch.dtype,
    device: torch.device,
    compiled: bool = False,
    repeats: int = 15,
) -> list[OpTiming]:
    """Time every operation on the tensors it meets in a call of the denoiser with ``batch`` volumes.

    Convolutions, projections and noise are timed where they are ours, on the CPU.
    """
    shapes = network_shapes(config, batch)
    norms = [
        time_group_norm(shape, groups_of(shape), dtype, device, film, compiled, repeats)
        for shape in shapes
        for film in (False, True)
    ]
    coarse, heads = shapes[-1], config.attention_heads
    rows = [*norms, time_attention(coarse, heads, groups_of(coarse), dtype, device, compiled, repeats)]
    if device.type == "cpu":
        rows += [time_convolution(shape, dtype, repeats) for shape in shapes]
        rows += time_projections(config, batch, dtype, repeats)
        rows.append(time_noise(batch, repeats))
    return rows


def time_convolution(shape: tuple[int, ...], dtype: torch.dtype, repeats: int = 15) -> OpTiming:
    """``convolution_3d`` with residual beside F.conv3d and a sum, on the CPU; limit: a product of matrices.

    The arithmetic is that of the definition, also where Winograd's way takes less.
    """
    device, channels = torch.device("cpu"), shape[1]
    x, residual = drawn(shape, dtype, device), drawn(shape, dtype, device)
    weight = drawn((channels, channels, 3, 3, 3), torch.float32, device) / (27 * channels) ** 0.5
    bias = torch.randn(channels)
    short_weight, short_bias = weight.to(dtype), bias.to(dtype)
    ours = torch.ops.dispr.convolution_3d_bf16 if dtype == torch.bfloat16 else torch.ops.dispr.convolution_3d
    product, product_gflop = product_of_matrices(dtype, device)
    with torch.inference_mode():
        seconds = calls_in_turns(
            [
                lambda: residual + F.conv3d(x, short_weight, short_bias, padding=1),
                lambda: ours(x, weight, bias, residual),
                product,
            ],
            device,
            repeats,
        )
    limit = product_gflop / min(seconds.pop(2))
    gflop = 2 * 27 * channels * x.numel() / 1e9
    traffic = 3 * x.numel() * x.element_size() + weight.numel() * x.element_size()
    return timing_of("convolution_3d", x, seconds, gflop, traffic / 1e9, "GFLOP/s", limit)


def time_projections(
    config: DenoiserConfig, batch: int, dtype: torch.dtype, repeats: int = 15
) -> list[OpTiming]:
    """``patch_projection`` of a volume into tokens, with condition, and back, on the CPU; limit: a copy."""
    device, side, (fine, _) = torch.device("cpu"), config.patch, config.channels
    tokens = drawn((batch, fine, *[GRID // side] * 3), dtype, device)
    volume = drawn((batch, 1, GRID, GRID, GRID), torch.float32, device)
    into, out = torch.randn(fine, side**3) / side**1.5, torch.randn(side**3, fine) / fine**0.5
    return [
        _time_projection(volume, into, tokens, dtype, repeats, gather=side),
        _time_projection(tokens, out, None, dtype, repeats, scatter=side),
    ]


def _time_projection(
    x: Tensor,
    weight: Tensor,
    residual: Tensor | None,
    dtype: torch.dtype,
    repeats: int,
    gather: int = 1,
    scatter: int = 1,
) -> OpTiming:
    bf16, wide = dtype == torch.bfloat16, residual is None
    short, bias = weight.to(dtype), torch.randn(len(weight))
    given = (gather, scatter, False, None, residual, -1.0)

    def eager() -> Tensor:
        return plain.project_patches(x.to(dtype), short, bias.to(dtype), *given).float()

    copy, op = torch.empty_like(x), torch.ops.dispr.patch_projection
    runs: list[Callable[[], Any]] = [
        eager,
        lambda: op(x, weight, bias, *given, bf16, wide),
        lambda: copy.copy_(x),
    ]
    with torch.inference_mode():
        y = runs[1]()
        seconds = calls_in_turns(runs, x.device, repeats)
    limit = 2 * x.numel() * x.element_size() / 1e9 / min(seconds.pop(2))
    moved = [x, y] if residual is None else [x, y, residual]
    traffic = sum(t.numel() * t.element_size() for t in moved) / 1e9
    gflop = 2 * weight.numel() * x.numel() / weight.shape[1] / 1e9
    return timing_of("patch_projection", x, seconds, gflop, traffic, "GB/s", limit)


def time_noise(batch: int, repeats: int = 15) -> OpTiming:
    """``normal_noise`` of ``batch`` volumes beside torch.randn; limit: a copy of what is written, once."""
    streams = torch.arange(3 * batch).reshape(batch, 3)
    shape = (batch, 1, GRID, GRID, GRID)
    source, target = (torch.empty(shape) for _ in range(2))
    with torch.inference_mode():
        seconds = calls_in_turns(
            [
                lambda: torch.randn(shape),
                lambda: torch.ops.dispr.normal_noise(streams, GRID**3),
                lambda: target.copy_(source),
            ],
            source.device,
            repeats,
        )
    size = source.numel() * source.element_size() / 1e9
    limit = 2 * size / min(seconds.pop(2))
    gflop = NOISE_FLOP * source.numel() / 1e9
    return timing_of("normal_noise", source, seconds, gflop, size, "GB/s", limit)
