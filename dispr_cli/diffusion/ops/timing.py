"""How fast the operations run beside eager PyTorch, and how far from what the machine can move or multiply.

All that is compared runs in turns within one measurement, so that whatever else the machine does meets all
alike; figures are medians. On one CPU thread, time is CPU time, which a busy machine does not stretch.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dispr_cli.config import DenoiserConfig
from dispr_cli.diffusion.ops import plain

Run = Callable[[], object]


@dataclass(frozen=True, slots=True)
class OpTiming:
    """One operation on one input, ours beside eager PyTorch.

    Attributes
    ----------
    operation, shape, dtype
        What ran, on x of which (N, C, D, H, W).
    eager_ms, ours_ms
        Median time of a call, milliseconds.
    speedup
        Median of the ratio within each turn.
    rate, unit
        What ours moved or computed per second: GB/s of the least traffic possible, or GFLOP/s.
    limit
        The machine's own rate: copying a tensor of this size, or multiplying two large matrices.
    """

    operation: str
    shape: tuple[int, ...]
    dtype: str
    eager_ms: float
    ours_ms: float
    speedup: float
    rate: float
    unit: str
    limit: float

    @property
    def percent_of_limit(self) -> float:
        """Share of the machine's own rate."""
        return 100 * self.rate / self.limit


def in_turns(runs: list[Run], device: torch.device, repeats: int = 15) -> list[list[float]]:
    """Time each of `runs` in seconds, `repeats` times in turns, after two turns to warm up."""
    seconds: list[list[float]] = [[] for _ in runs]
    for turn in range(repeats + 2):
        for run, times in zip(runs, seconds, strict=True):
            elapsed = _seconds(run, device)
            if turn >= 2:
                times.append(elapsed)
    return seconds


def _seconds(run: Run, device: torch.device) -> float:
    if device.type != "cuda":
        clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
        begin = clock()
        run()
        return clock() - begin
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def matmul_peak(dtype: torch.dtype, device: torch.device) -> float:
    """GFLOP/s of the product of two square matrices: 2 side³ operations."""
    side = 8192 if device.type == "cuda" else 1536
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    (seconds,) = in_turns([lambda: a @ b], device, repeats=5)
    return 2 * side**3 / min(seconds) / 1e9


def network_shapes(config: DenoiserConfig, batch: int) -> list[tuple[int, ...]]:
    """Shapes of the tensors the denoiser normalises, at its two levels."""
    side = 64 // config.patch
    fine, coarse = config.channels
    return [(batch, fine, side, side, side), (batch, coarse, side // 2, side // 2, side // 2)]


def time_group_norm(
    shape: tuple[int, ...], groups: int, dtype: torch.dtype, device: torch.device, film: bool
) -> OpTiming:
    """``group_norm_silu`` beside F.group_norm, modulation and F.silu; limit: a copy of x.

    The least traffic is two readings and one writing of x, or half of the former where x stays in cache.
    """
    x = _drawn(shape, dtype, device)
    N, C = shape[:2]
    weight, bias = torch.randn(C, device=device), torch.randn(C, device=device)
    scale, shift = (torch.randn(N, C, device=device) for _ in range(2)) if film else (None, None)
    by_eager = _eager_group_norm(
        groups, *(None if t is None else t.to(dtype) for t in (weight, bias, scale, shift))
    )
    copy = torch.empty_like(x)
    op = torch.ops.dispr.group_norm_silu
    eager, ours, copied = in_turns(
        [
            lambda: by_eager(x),
            lambda: op(x, groups, weight, bias, 1e-5, scale, shift),
            lambda: copy.copy_(x),
        ],
        device,
    )
    gigabytes = x.numel() * x.element_size() / 1e9
    return _timing(
        "group_norm_silu" + " + FiLM" * film,
        x,
        eager,
        ours,
        3 * gigabytes,
        "GB/s",
        2 * gigabytes / min(copied),
    )


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
    shape: tuple[int, ...], heads: int, groups: int, dtype: torch.dtype, device: torch.device
) -> OpTiming:
    """``attention_3d`` beside the same block in eager PyTorch; limit: products of large matrices.

    Operations: 8 C² for the projections of a token and 4 T C for its scores and their sum, T tokens.
    """
    C = shape[1]
    x = _drawn(shape, dtype, device)
    sizes = ((C,), (C,), (3 * C, C), (3 * C,), (C, C), (C,))
    parameters = [torch.randn(size, device=device) / size[-1] ** 0.5 for size in sizes]
    by_eager: tuple[Any, ...] = (x, heads, groups, *(parameter.to(dtype) for parameter in parameters), 1e-5)
    with torch.inference_mode():
        eager, ours = in_turns(
            [
                lambda: plain.attention_3d(*by_eager),
                lambda: torch.ops.dispr.attention_3d(x, heads, groups, *parameters, 1e-5),
            ],
            device,
        )
    tokens = x[0, 0].numel()
    operations = shape[0] * tokens * (8 * C * C + 4 * tokens * C)
    limit = matmul_peak(dtype if device.type == "cuda" else torch.float32, device)
    return _timing("attention_3d", x, eager, ours, operations / 1e9, "GFLOP/s", limit)


def _drawn(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.randn(shape, device=device).to(dtype).contiguous(memory_format=torch.channels_last_3d)


def _timing(
    operation: str, x: Tensor, eager: list[float], ours: list[float], amount: float, unit: str, limit: float
) -> OpTiming:
    seconds = statistics.median(ours)
    ratios = [theirs / own for theirs, own in zip(eager, ours, strict=True)]
    return OpTiming(
        operation=operation,
        shape=tuple(x.shape),
        dtype=str(x.dtype).removeprefix("torch."),
        eager_ms=1e3 * statistics.median(eager),
        ours_ms=1e3 * seconds,
        speedup=statistics.median(ratios),
        rate=amount / seconds,
        unit=unit,
        limit=limit,
    )
