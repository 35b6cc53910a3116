"""What the machine can do at most: how fast it copies, and how fast it multiplies matrices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dispr_cli.diffusion.device import choose_autocast
from dispr_cli.diffusion.ops.clock import in_turns

MATRIX_SIDE = {"cuda": 8192}
"""Side of the matrices multiplied, by device; elsewhere :data:`SMALLER_SIDE` is enough."""

SMALLER_SIDE = 1024
LARGE_BYTES = 256 << 20
SMALL_BYTES = 2 << 20


@dataclass(frozen=True, slots=True)
class MachineLimits:
    """The machine's own rates, measured.

    Attributes
    ----------
    copy_gb_s
        Memory read plus memory written per second while a tensor larger than any cache is copied.
    cached_copy_gb_s
        The same for a tensor that stays in a cache.
    matmul_gflop_s
        Product of two square matrices, in the number format the network computes in.
    """

    copy_gb_s: float
    cached_copy_gb_s: float
    matmul_gflop_s: float


def measure_limits(dtype: torch.dtype, device: torch.device) -> MachineLimits:
    """Measure the three rates in one go; ``dtype`` is that of the products."""
    return MachineLimits(
        copy_bandwidth(LARGE_BYTES, device), copy_bandwidth(SMALL_BYTES, device), matmul_peak(dtype, device)
    )


def copy_bandwidth(size: int, device: torch.device) -> float:
    """GB/s of copying ``size`` bytes: every byte is read and written."""
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    (seconds,) = in_turns([lambda: target.copy_(source)], device, repeats=9)
    return 2 * size / min(seconds) / 1e9


def product_of_matrices(dtype: torch.dtype, device: torch.device) -> tuple[Callable[[], Tensor], float]:
    """Return a product of two square matrices, and how many GFLOP it takes (2 side³)."""
    side = MATRIX_SIDE.get(device.type, SMALLER_SIDE)
    a, b = (torch.randn(side, side, device=device).to(_fastest(dtype, device)) for _ in range(2))
    return lambda: a @ b, 2 * side**3 / 1e9


def matmul_peak(dtype: torch.dtype, device: torch.device) -> float:
    """GFLOP/s of the product of two square matrices."""
    product, gflop = product_of_matrices(dtype, device)
    (seconds,) = in_turns([product], device, repeats=7)
    return gflop / min(seconds)


def _fastest(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """Name the format of the limit: float32 on a CPU that cannot multiply bfloat16, for it computes so."""
    if device.type == "cpu" and dtype == torch.bfloat16:
        return choose_autocast(device, "auto") or torch.float32
    return dtype
