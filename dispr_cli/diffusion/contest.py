"""Two settings of the denoiser against each other, in turns on the same machine at the same time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from dispr_cli.diffusion.ops.clock import Run, Spread, in_turns, ratios, spread
from dispr_cli.diffusion.ops.library import operations_by
from dispr_cli.diffusion.reconstruction import DiffusionMethod
from dispr_cli.diffusion.timing import NUM_SAMPLES, calling, cells_at_once, reconstructing, sampling

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Contender:
    """One of the two: a method and what it runs on.

    Attributes
    ----------
    method
        Weights, sampler, device and precision.
    threads
        CPU threads.
    operations
        ``compiled``, ``plain`` or an instruction set, see
        :func:`dispr_cli.diffusion.ops.library.operations_by`.
    """

    method: DiffusionMethod
    threads: int
    operations: str = "compiled"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One part of the work, done by both.

    Attributes
    ----------
    part
        What was done.
    a_ms, b_ms
        Median time, milliseconds.
    ratio
        Time of A divided by time of B in the same turn: how many times faster B is.
    """

    part: str
    a_ms: float
    b_ms: float
    ratio: Spread


def compare(a: Contender, b: Contender, repeats: int = 7) -> list[Comparison]:
    """Time a call of the denoiser, a sample and a cell by both, in turns.

    A call and a sample are counted per volume, so that contenders with other batches can be compared.
    """
    return [
        _compare(a, b, "denoiser call, per volume", _call, repeats),
        _compare(a, b, "sample, all its steps", _sample, repeats),
        _compare(a, b, f"cell with {NUM_SAMPLES} samples", _cells, repeats),
    ]


def _call(method: DiffusionMethod) -> tuple[Run, int]:
    return calling(method, method.micro_batch), method.micro_batch


def _sample(method: DiffusionMethod) -> tuple[Run, int]:
    return sampling(method, method.micro_batch), method.micro_batch


def _cells(method: DiffusionMethod) -> tuple[Run, int]:
    cells = cells_at_once(method)
    return reconstructing(method, cells), cells


def _compare(
    a: Contender,
    b: Contender,
    part: str,
    work: Callable[[DiffusionMethod], tuple[Run, int]],
    repeats: int,
) -> Comparison:
    (run_a, count_a), (run_b, count_b) = work(a.method), work(b.method)
    clock = time.process_time if _on_one_thread(a) and _on_one_thread(b) else time.perf_counter
    before = torch.get_num_threads()
    try:
        taken_a, taken_b = in_turns([_as(a, run_a), _as(b, run_b)], CPU, repeats, warm_up=1, clock=clock)
    finally:
        torch.set_num_threads(before)
    each_a, each_b = [s / count_a for s in taken_a], [s / count_b for s in taken_b]
    ratio = spread(ratios(each_a, each_b))
    return Comparison(part, 1e3 * statistics.median(each_a), 1e3 * statistics.median(each_b), ratio)


def _on_one_thread(contender: Contender) -> bool:
    return contender.threads == 1 and contender.method.device == CPU


def _as(contender: Contender, run: Run) -> Run:
    def as_contender() -> None:
        torch.set_num_threads(contender.threads)
        with operations_by(contender.operations):
            run()
            if contender.method.device.type == "cuda":
                torch.cuda.synchronize()

    return as_contender
