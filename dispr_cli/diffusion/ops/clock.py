"""Fair timing: all that is compared runs in turns, so that whatever else the machine does meets all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

Run = Callable[[], object]
Clock = Callable[[], float]

GRAPH_CALLS = 10
"""Calls that one CUDA graph holds, so that its launch weighs little beside them."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Median of several measurements, and the quartiles around it."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles; of a single value all three are that value."""
    low, middle, high = statistics.quantiles(values, method="inclusive") if len(values) > 1 else 3 * [*values]
    return Spread(middle, low, high)


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Quotients of what was measured in the same turn."""
    return [a / b for a, b in zip(above, below, strict=True)]


def choose_clock() -> Clock:
    """CPU time on one thread, which a busy machine does not stretch; else the time on the wall."""
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def in_turns(
    runs: Sequence[Run],
    device: torch.device,
    repeats: int = 15,
    warm_up: int = 2,
    clock: Clock | None = None,
) -> list[list[float]]:
    """Time several runs side by side; every second turn goes backwards, so that none always follows another.

    Parameters
    ----------
    runs
        What to time.
    device
        On CUDA, time is that between two events around the run.
    repeats, warm_up
        Turns that count, and turns before them that do not.
    clock
        By default what :func:`choose_clock` returns.

    Returns
    -------
    list of list of float
        Seconds, ``repeats`` of each run.
    """
    clock = clock or choose_clock()
    seconds: list[list[float]] = [[] for _ in runs]
    for turn in range(warm_up + repeats):
        order = list(zip(runs, seconds, strict=True))
        for run, times in order if turn % 2 == 0 else reversed(order):
            elapsed = _on_cuda(run) if device.type == "cuda" else _on_clock(run, clock)
            if turn >= warm_up:
                times.append(elapsed)
    return seconds


def _on_clock(run: Run, clock: Clock) -> float:
    begin = clock()
    run()
    return clock() - begin


def _on_cuda(run: Run) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def captured(run: Run, device: torch.device) -> tuple[Run, int]:
    """Return what replays ``run`` as a CUDA graph, and how many calls that makes; elsewhere run itself, 1.

    A graph leaves out the time that Python takes to launch kernels, which for small tensors is all there is.
    """
    if device.type != "cuda":
        return run, 1
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        run()  # libraries choose their kernels and take their memory before the capture
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(GRAPH_CALLS):
            run()
    return graph.replay, GRAPH_CALLS


def calls_in_turns(runs: Sequence[Run], device: torch.device, repeats: int = 15) -> list[list[float]]:
    """Seconds of a call of each run, as :func:`in_turns`, on CUDA without the time to launch it."""
    replays = [captured(run, device) for run in runs]
    seconds = in_turns([replay for replay, _ in replays], device, repeats)
    return [[taken / calls for taken in times] for (_, calls), times in zip(replays, seconds, strict=True)]


def compiled_or_none(run: Callable[..., object], *inputs: object) -> Callable[..., object] | None:
    """``torch.compile`` of a function that has run once on its inputs; None where that does not work here.

    It needs a C++ compiler or Triton, and knows neither every Python nor every system.
    """
    try:
        fast: Callable[..., object] = torch.compile(run, dynamic=False)
        fast(*inputs)
    except Exception:  # the compiler's own errors have no kind in common
        return None
    return fast
