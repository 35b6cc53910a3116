"""The peers' networks, timed with random weights: time does not depend on what a network has learned."""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch

from dispr_cli.config import GRID
from dispr_cli.diffusion.ops.clock import Run, in_turns


@dataclass(frozen=True, slots=True)
class PeerTiming:
    """One peer on one cell.

    Attributes
    ----------
    name
        Of the method.
    call
        What a call of its network is.
    call_seconds
        Median time of a call.
    calls_per_cell
        Calls it takes for a cell with as many samples as ours; SHAPR has but one answer.
    ratio
        Its time for a cell divided by ours.
    """

    name: str
    call: str
    call_seconds: float
    calls_per_cell: int
    ratio: float


class _Peer(NamedTuple):
    name: str
    call: str
    module: str
    prepare: Callable[[object, torch.device], Run]
    calls_per_sample: int
    samples: bool
    repeats: int


def _shapr(module: object, device: torch.device) -> Run:
    network = module.ShapeNetwork().eval().to(device)  # type: ignore[attr-defined]
    planes = torch.rand(1, 2, 1, GRID, GRID, device=device)
    return lambda: network(planes)


def _dispr_2022(module: object, device: torch.device) -> Run:
    network = module.PublishedNetwork().eval().to(device)  # type: ignore[attr-defined]
    x = torch.randn(1, 3, GRID, GRID, GRID, device=device)
    timestep = torch.zeros(1, device=device)
    return lambda: network(x, timestep)


PEERS = (
    _Peer("SHAPR", "one pass", "dispr_cli.baselines.shapr.network", _shapr, 1, False, 9),
    _Peer(
        "DISPR-2022", "one of 1000 steps", "dispr_cli.baselines.dispr2022.unet", _dispr_2022, 1000, True, 1
    ),
)


def time_peers(device: torch.device, seconds_per_cell: float, num_samples: int) -> list[PeerTiming]:
    """Time every peer on the device; ``seconds_per_cell`` is what ours takes for ``num_samples`` samples."""
    return list(_timed(device, seconds_per_cell, num_samples))


def _timed(device: torch.device, ours: float, num_samples: int) -> Iterator[PeerTiming]:
    for peer in PEERS:
        run = peer.prepare(importlib.import_module(peer.module), device)
        with torch.inference_mode():
            (seconds,) = in_turns([run], device, peer.repeats, warm_up=min(peer.repeats, 2) - 1)
        call, calls = statistics.median(seconds), peer.calls_per_sample * (num_samples if peer.samples else 1)
        yield PeerTiming(peer.name, peer.call, call, calls, call * calls / ours)
