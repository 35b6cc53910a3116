"""DISPR of 2022 behind the interface of all methods.

A volume in the published 1000 steps takes hours on a CPU; ``--steps`` visits fewer levels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dispr_cli.baselines.dispr2022.diffusion import Diffusion, make_schedule
from dispr_cli.baselines.dispr2022.sampling import check_sampler, draw_volumes, tile_condition
from dispr_cli.baselines.dispr2022.settings import PUBLISHED_SAMPLER
from dispr_cli.baselines.dispr2022.weights import Dispr2022Weights
from dispr_cli.config import GRID, SamplerConfig
from dispr_cli.diffusion.device import describe
from dispr_cli.diffusion.known_cells import known_cells
from dispr_cli.diffusion.micro_batches import MicroBatchedMethod, Work
from dispr_cli.diffusion.noise import draw_noise, sample_stream
from dispr_cli.inputs.cell import Cell

MICRO_BATCH = {"cpu": 1, "mps": 1, "cuda": 8}
"""Volumes in one call of the network, by device; a fixed number, lest shapes depend on their neighbours."""


class Dispr2022Method(MicroBatchedMethod):
    """Reconstruct cells with the published network; see :class:`dispr_cli.method.Method`.

    Parameters
    ----------
    weights
        From :func:`dispr_cli.baselines.dispr2022.weights.load_dispr2022`.
    device
        Where the network runs.
    sampler
        ``ddpm`` (ancestral) or ``ddim`` with ``eta``, and ``num_steps`` of the 1000 levels.
    precision
        ``auto``, ``fp32`` or ``bf16``.
    notify
        Called with a sentence when the batch is halved for want of memory.

    Raises
    ------
    ConfigError
        If the sampler is another, or has more steps than the network has levels.
    """

    name = "dispr2022"
    memory_needed = " (the published network needs about 1 GB)"

    def __init__(
        self,
        weights: Dispr2022Weights,
        device: torch.device,
        sampler: SamplerConfig = PUBLISHED_SAMPLER,
        precision: str = "auto",
        notify: Callable[[str], None] = lambda message: None,
    ) -> None:
        super().__init__(device, MICRO_BATCH[device.type], precision, notify)
        self.weights, self.sampler = weights, check_sampler(sampler)
        self._known = known_cells(weights.provenance, weights.sha256)
        self.diffusion = Diffusion(make_schedule(sampler.num_steps), device)
        self.network = weights.network.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def describe(self) -> str:
        """Say what computes."""
        return describe(self.device, self.autocast)

    def identity(self) -> dict[str, Any]:
        """Sampler, steps and hash of the weights."""
        return {
            "method": self.name,
            "weights_sha256": self.weights.sha256,
            "sampler": self.sampler.sampler,
            "num_steps": self.sampler.num_steps,
            "eta": self.sampler.eta,
            "precision": "bf16" if self.autocast else "fp32",
        }

    def learned_from(self, cell: Cell) -> bool | None:
        """Whether the weights learned from a cell, as they record; None if they do not."""
        return self._known.learned_from(cell)

    def _draw(self, cells: Sequence[Cell], work: Work, seed: int) -> NDArray[np.uint8]:
        image = torch.from_numpy(np.stack([cells[i].image for i, _ in work])).to(self.device)
        inside = torch.from_numpy(np.stack([cells[i].mask for i, _ in work])).to(self.device)
        streams = [sample_stream(cells[i].image, cells[i].mask, seed, s) for i, s in work]

        def noise() -> torch.Tensor:
            return draw_noise(streams, GRID).to(self.device)

        volume = draw_volumes(
            self.network, tile_condition(image, inside), self.diffusion, noise, self.sampler
        )
        occupancy = (volume[:, 0].clamp(0.0, 1.0) * 255.0).round()
        return np.asarray(occupancy.to(torch.uint8).cpu().numpy())
