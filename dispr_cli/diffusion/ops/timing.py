"""How fast norm and attention run beside eager PyTorch, and how far from what the machine can do."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dispr_cli.diffusion.ops import plain
from dispr_cli.diffusion.ops.clock import calls_in_turns, compiled_or_none, ratios
from dispr_cli.diffusion.ops.limits import product_of_matrices

GROUP_CHANNELS = 16
"""Channels of a group in the denoiser's norms."""

NORM_FLOP = 10
"""Operations on an element in ``group_norm_silu``: 3 for the sums, 3 to normalise, 4 for SiLU."""


@dataclass(frozen=True, slots=True)
class OpTiming:
    """One operation on one input: ours, eager PyTorch and torch.compile.

    Attributes
    ----------
    operation, shape, dtype
        What ran, on x of which (N, C, D, H, W).
    eager_ms, ours_ms, compiled_ms
        Median time of a call, milliseconds; ``compiled_ms`` is None where torch.compile was not asked for
        or does not work.
    speedup
        Median over the turns of eager's time divided by ours.
    rate, unit
        What ours moved or computed per second: GB/s of the least traffic possible, or GFLOP/s.
    limit
        The machine's own rate: copying a tensor of this size, or multiplying two large matrices.
    gflop, gigabytes
        Arithmetic and least traffic of one call.
    """

    operation: str
    shape: tuple[int, ...]
    dtype: str
    eager_ms: float
    ours_ms: float
    compiled_ms: float | None
    speedup: float
    rate: float
    unit: str
    limit: float
    gflop: float
    gigabytes: float

    @property
    def percent_of_limit(self) -> float:
        """Share of the machine's own rate."""
        return 100 * self.rate / self.limit


def groups_of(shape: tuple[int, ...]) -> int:
    """Count the groups that the denoiser's norms make of the channels of such a tensor."""
    return max(1, shape[1] // GROUP_CHANNELS)


def time_group_norm(
    shape: tuple[int, ...],
    groups: int,
    dtype: torch.dtype,
    device: torch.device,
    film: bool,
    compiled: bool = False,
    repeats: int = 15,
) -> OpTiming:
    """``group_norm_silu`` beside F.group_norm, modulation and F.silu; limit: a copy of x.

    The least traffic is two readings and one writing of x.
    """
    x = drawn(shape, dtype, device)
    N, C = shape[:2]
    weight, bias = torch.randn(C, device=device), torch.randn(C, device=device)
    scale, shift = (torch.randn(N, C, device=device) for _ in range(2)) if film else (None, None)
    by_eager = _eager_group_norm(
        groups, *(None if t is None else t.to(dtype) for t in (weight, bias, scale, shift))
    )
    copy, op = torch.empty_like(x), torch.ops.dispr.group_norm_silu
    with torch.inference_mode():
        by_compiler = compiled_or_none(by_eager, x) if compiled else None
        seconds = calls_in_turns(
            [
                lambda: by_eager(x),
                lambda: op(x, groups, weight, bias, 1e-5, scale, shift),
                lambda: copy.copy_(x),
                *([lambda: by_compiler(x)] if by_compiler is not None else []),
            ],
            device,
            repeats,
        )
    size = x.numel() * x.element_size() / 1e9
    limit = 2 * size / min(seconds.pop(2))
    gflop = NORM_FLOP * x.numel() / 1e9
    return timing_of("group_norm_silu" + " + FiLM" * film, x, seconds, gflop, 3 * size, "GB/s", limit)


def _eager_group_norm(
    groups: int, weight: Tensor | None, bias: Tensor | None, scale: Tensor | None, shift: Tensor | None
) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        u = F.group_norm(x, groups, weight, bias, 1e-5)
        if scale is not None and shift is not None:
            u = u * (1 + scale[..., None, None, None]) + shift[..., None, None, None]
        return F.silu(u)

    return run


def time_attention(
    shape: tuple[int, ...],
    heads: int,
    groups: int,
    dtype: torch.dtype,
    device: torch.device,
    compiled: bool = False,
    repeats: int = 15,
) -> OpTiming:
    """``attention_3d`` beside the same block in eager PyTorch; limit: a product of large matrices.

    Operations: 8 C² for the projections of a token and 4 T C for its scores and their sum, T tokens.
    """
    C = shape[1]
    x = drawn(shape, dtype, device)
    sizes = ((C,), (C,), (3 * C, C), (3 * C,), (C, C), (C,))
    parameters = [torch.randn(size, device=device) / size[-1] ** 0.5 for size in sizes]
    by_eager: tuple[Any, ...] = (x, heads, groups, *(parameter.to(dtype) for parameter in parameters), 1e-5)
    product, product_gflop = product_of_matrices(dtype, device)
    with torch.inference_mode():
        by_compiler = compiled_or_none(plain.attention_3d, *by_eager) if compiled else None
        seconds = calls_in_turns(
            [
                lambda: plain.attention_3d(*by_eager),
                lambda: torch.ops.dispr.attention_3d(x, heads, groups, *parameters, 1e-5),
                product,
                *([lambda: by_compiler(*by_eager)] if by_compiler is not None else []),
            ],
            device,
            repeats,
        )
    limit = product_gflop / min(seconds.pop(2))
    tokens = x[0, 0].numel()
    gflop = shape[0] * tokens * (8 * C * C + 4 * tokens * C) / 1e9
    traffic = 2 * x.numel() * x.element_size() + 4 * sum(parameter.numel() for parameter in parameters)
    return timing_of("attention_3d", x, seconds, gflop, traffic / 1e9, "GFLOP/s", limit)


def drawn(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Draw normal numbers, channels last."""
    return torch.randn(shape, device=device).to(dtype).contiguous(memory_format=torch.channels_last_3d)


def timing_of(
    operation: str,
    x: Tensor,
    seconds: list[list[float]],
    gflop: float,
    gigabytes: float,
    unit: str,
    limit: float,
) -> OpTiming:
    """Put times, arithmetic and traffic together; ``seconds`` of eager PyTorch, ours and torch.compile."""
    eager, ours, *compiled = seconds
    amount = gigabytes if unit == "GB/s" else gflop
    return OpTiming(
        operation=operation,
        shape=tuple(x.shape),
        dtype=str(x.dtype).removeprefix("torch."),
        eager_ms=1e3 * statistics.median(eager),
        ours_ms=1e3 * statistics.median(ours),
        compiled_ms=1e3 * statistics.median(compiled[0]) if compiled else None,
        speedup=statistics.median(ratios(eager, ours)),
        rate=amount / statistics.median(ours),
        unit=unit,
        limit=limit,
        gflop=gflop,
        gigabytes=gigabytes,
    )
