"""How long the denoiser takes: a call beside the bare products inside it, a step of the sampler, a cell."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dispr_cli.config import GRID
from dispr_cli.diffusion.conditioning import CONDITION_PLANES
from dispr_cli.diffusion.denoiser import Condition
from dispr_cli.diffusion.drawing import draw_fields
from dispr_cli.diffusion.ops.clock import (
    Run,
    Spread,
    calls_in_turns,
    compiled_or_none,
    in_turns,
    ratios,
    spread,
)
from dispr_cli.diffusion.ops.library import operations_by
from dispr_cli.diffusion.products import Product, record_products
from dispr_cli.diffusion.reconstruction import DiffusionMethod
from dispr_cli.inputs.cell import Cell

NUM_SAMPLES = 5
"""Samples of a cell wherever cells are timed."""


@dataclass(frozen=True, slots=True)
class ProductTiming:
    """One convolution or matrix product of the network, alone.

    Attributes
    ----------
    name
        PyTorch's name and the shape of the output.
    ms
        Median time, milliseconds.
    gflop, gigabytes
        Its arithmetic, and its inputs and output in memory.
    """

    name: str
    ms: float
    gflop: float
    gigabytes: float


@dataclass(frozen=True, slots=True)
class CallTiming:
    """One call of the denoiser on a batch.

    Attributes
    ----------
    batch
        Volumes in the call.
    call_ms
        Median time of the call, milliseconds; on CUDA as a graph, here and below.
    plain_ms
        The same with plain PyTorch in place of the fused operations.
    compiled_ms
        The same with torch.compile; None where it was not asked for or does not work.
    products_ms
        Median time of its convolutions and matrix products alone, one after the other on the same inputs.
    overhead
        Call divided by products within each turn; 1 would be a network of products only.
    products
        Every one of those.
    """

    batch: int
    call_ms: float
    plain_ms: float
    compiled_ms: float | None
    products_ms: float
    overhead: Spread
    products: tuple[ProductTiming, ...]


def time_call(method: DiffusionMethod, batch: int, repeats: int = 9, compiled: bool = False) -> CallTiming:
    """Time the network of ``method`` on ``batch`` volumes of noise, in the method's precision."""
    device, network = method.device, method.denoiser.network
    with _as_reconstructed(method):
        inputs = _noise(method, batch)
        with torch.inference_mode(False), torch.no_grad():
            products = record_products(network, *(_outside(part) for part in inputs))
        fast = compiled_or_none(network, *inputs) if compiled else None

        def plain() -> None:
            with operations_by("plain"):
                network(*inputs)

        runs = [
            lambda: network(*inputs),
            lambda: [product.run() for product in products],
            plain,
            *([lambda: fast(*inputs)] if fast is not None else []),
        ]
        seconds = calls_in_turns(runs, device, repeats)
        alone = calls_in_turns([product.run for product in products], device, repeats)
    call, bare, by_plain, *by_compiler = seconds
    return CallTiming(
        batch=batch,
        call_ms=1e3 * statistics.median(call),
        plain_ms=1e3 * statistics.median(by_plain),
        compiled_ms=1e3 * statistics.median(by_compiler[0]) if by_compiler else None,
        products_ms=1e3 * statistics.median(bare),
        overhead=spread(ratios(call, bare)),
        products=tuple(_timing(product, times) for product, times in zip(products, alone, strict=True)),
    )


def calling(method: DiffusionMethod, batch: int) -> Run:
    """Return what calls the network of ``method`` once on ``batch`` volumes of noise."""
    with _as_reconstructed(method):
        inputs = _noise(method, batch)

    def run() -> None:
        with _as_reconstructed(method):
            method.denoiser.network(*inputs)

    return run


def _noise(method: DiffusionMethod, batch: int) -> tuple[torch.Tensor, torch.Tensor, Any]:
    device = method.device
    planes = torch.randn(batch, CONDITION_PLANES, GRID, GRID, device=device)
    x = torch.randn(batch, 1, GRID, GRID, GRID, device=device)
    return x, torch.zeros(batch, device=device), method.denoiser.network.encode(planes)


def _timing(product: Product, seconds: list[float]) -> ProductTiming:
    return ProductTiming(product.name, 1e3 * statistics.median(seconds), product.gflop, product.gigabytes)


def _outside(part: object) -> object:
    """Copy tensors made in inference mode, so that they may be used outside of it."""
    if isinstance(part, torch.Tensor):
        return part.clone()
    assert isinstance(part, tuple)
    return tuple(_outside(inner) for inner in part)


@contextmanager
def _as_reconstructed(method: DiffusionMethod) -> Iterator[None]:
    """Inference in the method's precision, as in its reconstruct."""
    enabled = method.autocast is not None
    with torch.inference_mode(), torch.autocast(method.device.type, torch.bfloat16, enabled=enabled):
        yield


def sampling(method: DiffusionMethod, batch: int) -> Run:
    """Return what draws one sample of each of ``batch`` cells, all steps of it, from noise that is there."""
    device = method.device
    noise = torch.randn(batch, 1, GRID, GRID, GRID, device=device)
    outline = torch.randn(batch, GRID, GRID, device=device)
    with _as_reconstructed(method):
        condition: Condition = method.denoiser.encode(torch.rand_like(outline), outline)

    def run() -> None:
        with _as_reconstructed(method):
            draw_fields(method.denoiser, condition, lambda: noise, method.sampler)

    return run


def reconstructing(method: DiffusionMethod, num_cells: int) -> Run:
    """Return what reconstructs ``num_cells`` round cells, :data:`NUM_SAMPLES` samples each."""
    y, x = np.indices((GRID, GRID)) - GRID // 2
    mask = np.hypot(y, x) < GRID // 3
    image, bounds = mask.astype(np.float32), (0, 0, GRID, GRID)
    cells = [
        Cell(f"round {i}", image * (1 - 0.01 * i), mask, None, Path("round"), None, bounds, False)
        for i in range(num_cells)
    ]
    return lambda: method.reconstruct(cells, NUM_SAMPLES, seed=0)


def cells_at_once(method: DiffusionMethod) -> int:
    """Count the cells that fill a batch."""
    return -(-method.micro_batch // NUM_SAMPLES)


def time_steps(method: DiffusionMethod, batch: int, repeats: int = 5) -> float:
    """Seconds of one step of the sampler on ``batch`` volumes: mean over a run's steps, median of runs."""
    (seconds,) = in_turns([sampling(method, batch)], method.device, repeats, warm_up=1)
    return statistics.median(seconds) / method.sampler.num_steps


def time_cells(method: DiffusionMethod, repeats: int = 3) -> float:
    """Seconds that one cell takes, :data:`NUM_SAMPLES` samples of it, in full batches."""
    cells = cells_at_once(method)
    (seconds,) = in_turns([reconstructing(method, cells)], method.device, repeats, warm_up=1)
    return statistics.median(seconds) / cells
