"""What ``dispr bench`` measures: the parts of the main job, and two settings against each other."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from dispr_cli.config import ReconstructConfig, SamplerConfig
from dispr_cli.diffusion.contest import Contender, compare
from dispr_cli.diffusion.ops.limits import measure_limits
from dispr_cli.diffusion.ops.timing_network import time_network_operations
from dispr_cli.diffusion.reconstruction import DiffusionMethod
from dispr_cli.diffusion.timing import NUM_SAMPLES, time_call, time_cells, time_steps
from dispr_cli.methods import load_denoiser
from dispr_cli.speed.machine import describe_machine
from dispr_cli.speed.peers import time_peers
from dispr_cli.speed.settings import BenchSettings
from dispr_cli.threads import available_threads


def measure(
    settings: BenchSettings,
    repeats: int,
    operations_only: bool = False,
    compiled: bool = True,
    peers: bool = True,
) -> dict[str, Any]:
    """Time the operations, and unless ``operations_only`` a call, a step, cells and the peers.

    Parameters
    ----------
    settings
        What is timed, and on what.
    repeats
        Turns of each measurement; short ones take twice as many, long ones half.
    operations_only
        Leave out all but the operations.
    compiled
        Time torch.compile too, which takes a minute to compile.
    peers
        Time the peers' networks too.

    Returns
    -------
    dict
        ``machine``, ``operations``, and with more than operations ``denoiser_call``, ``sampler_step``,
        ``reconstruct`` and ``peers``; ready for JSON.
    """
    method = _method(settings)
    dtype, batch = method.autocast or torch.float32, method.micro_batch
    found: dict[str, Any] = {
        "machine": describe_machine(method.device) | {"precision": str(dtype).removeprefix("torch.")},
        "limits": asdict(measure_limits(dtype, method.device)),
    }
    rows = time_network_operations(method.config, batch, dtype, method.device, compiled, 2 * repeats)
    found["operations"] = [asdict(row) | {"percent_of_limit": row.percent_of_limit} for row in rows]
    return found if operations_only else found | _whole(method, repeats, compiled, peers)


def _whole(method: DiffusionMethod, repeats: int, compiled: bool, peers: bool) -> dict[str, Any]:
    batch, few = method.micro_batch, -(-repeats // 2)
    step, cell = time_steps(method, batch, few), time_cells(method, few)
    timed = time_peers(method.device, cell, NUM_SAMPLES) if peers else []
    return {
        "denoiser_call": asdict(time_call(method, batch, repeats, compiled)),
        "sampler_step": {
            "sampler": method.sampler.sampler,
            "steps": method.sampler.num_steps,
            "batch": batch,
            "step_ms": 1e3 * step,
        },
        "reconstruct": {"samples": NUM_SAMPLES, "seconds_per_cell": cell, "cells_per_second": 1 / cell},
        "peers": [asdict(peer) for peer in timed],
    }


def measure_against(a: BenchSettings, b: BenchSettings, repeats: int) -> dict[str, Any]:
    """Time two settings in turns; see :func:`dispr_cli.diffusion.contest.compare`."""
    first, second = (Contender(_method(side), _threads(side), side.ops) for side in (a, b))
    return {
        "machine": describe_machine(first.method.device),
        "a": _named(a),
        "b": _named(b),
        "rows": [asdict(row) for row in compare(first, second, repeats)],
    }


def _named(settings: BenchSettings) -> dict[str, Any]:
    named = asdict(settings)
    return named | {"weights": None if settings.weights is None else str(settings.weights)}


def _threads(settings: BenchSettings) -> int:
    return settings.threads or available_threads()


def _method(settings: BenchSettings) -> DiffusionMethod:
    torch.set_num_threads(_threads(settings))
    run = ReconstructConfig(device=settings.device, precision=settings.precision)
    sampler = SamplerConfig(settings.sampler, settings.steps)
    method = load_denoiser(settings.weights, sampler, device=run.device, precision=run.precision)
    method.micro_batch = settings.batch_size or method.micro_batch
    return method
