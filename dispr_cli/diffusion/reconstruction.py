"""Our method: draw samples of cells with the denoiser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dispr_cli.config import GRID, SamplerConfig
from dispr_cli.diffusion.checkpoint import Checkpoint
from dispr_cli.diffusion.denoiser import Condition
from dispr_cli.diffusion.device import describe
from dispr_cli.diffusion.distance import outline_distance
from dispr_cli.diffusion.drawing import draw_fields
from dispr_cli.diffusion.known_cells import known_cells
from dispr_cli.diffusion.micro_batches import MicroBatchedMethod, Work
from dispr_cli.diffusion.noise import BalancedNoise
from dispr_cli.diffusion.orientation import turn, turn_back
from dispr_cli.diffusion.representation import to_occupancy
from dispr_cli.diffusion.sampler import Observer
from dispr_cli.inputs.cell import Cell

MICRO_BATCH = {"cpu": 5, "mps": 10, "cuda": 40}
"""Volumes in one call of the network, by device."""

TrajectoryStep = tuple[float, NDArray[np.float32], NDArray[np.uint8]]


class DiffusionMethod(MicroBatchedMethod):
    """Reconstruct cells with a trained denoiser.

    Parameters
    ----------
    checkpoint
        The denoiser and its provenance.
    sampler
        How samples are drawn.
    device
        Where the network runs.
    precision
        ``auto``, ``fp32`` or ``bf16``.
    notify
        Called with a sentence when the batch is halved for want of memory.
    """

    name = "dispr"

    def __init__(
        self,
        checkpoint: Checkpoint,
        sampler: SamplerConfig,
        device: torch.device,
        precision: str = "auto",
        notify: Callable[[str], None] = lambda message: None,
    ) -> None:
        super().__init__(device, MICRO_BATCH[device.type], precision, notify)
        self.checkpoint, self.sampler = checkpoint, sampler
        self.weights_path = checkpoint.path
        self._known = known_cells(checkpoint.provenance, checkpoint.sha256, checkpoint.path)
        self.denoiser = checkpoint.denoiser.place(device)
        self.config = self.denoiser.config

    def describe(self) -> str:
        """Say what computes, and in how many steps."""
        steps = self.sampler.num_steps
        return f"{describe(self.device, self.autocast)}, {steps} step{'s' if steps > 1 else ''}"

    def identity(self) -> dict[str, Any]:
        """Sampler, steps and hash of the weights."""
        return {
            "method": self.name,
            "weights_sha256": self.checkpoint.sha256,
            "sampler": self.sampler.sampler,
            "num_steps": self.sampler.num_steps,
            "eta": self.sampler.eta,
            "orientations": self.sampler.orientations,
            "balance": self.sampler.balance,
            "spread": self.sampler.spread,
            "precision": "bf16" if self.autocast else "fp32",
        }

    def learned_from(self, cell: Cell) -> bool | None:
        """Whether the weights learned from a cell, as they record; None if they do not."""
        return self._known.learned_from(cell)

    def trajectory(self, cell: Cell, seed: int, sample_index: int = 0) -> list[TrajectoryStep]:
        """Every denoising step of one sample: (sigma, noisy field, occupancy of the estimate)."""
        steps: list[TrajectoryStep] = []

        orientation = sample_index % self.sampler.orientations

        def observe(sigma: float, x: torch.Tensor, x0: torch.Tensor) -> None:
            noisy, estimate = (turn_back(field[0, 0], orientation) for field in (x, x0))
            steps.append((sigma, noisy.cpu().numpy(), self._shapes(estimate[None])[0]))

        with self._inference():
            self._sample([cell], self._padded([(0, sample_index)]), seed, observe)
        return steps

    def _encode(self, cells: Sequence[Cell], chosen: Sequence[tuple[int, int]]) -> Condition:
        """Condition of cells in orientations."""
        images = [turn(torch.from_numpy(cells[i].image), k) for i, k in chosen]
        outlines = [turn(torch.from_numpy(outline_distance(cells[i].mask)), k) for i, k in chosen]
        return self.denoiser.encode(
            torch.stack(images).to(self.device), torch.stack(outlines).to(self.device)
        )

    def _draw(self, cells: Sequence[Cell], work: Work, seed: int) -> NDArray[np.uint8]:
        return self._sample(cells, work, seed)

    def _sample(
        self, cells: Sequence[Cell], work: Work, seed: int, observer: Observer | None = None
    ) -> NDArray[np.uint8]:
        # (cell, orientation) of each volume
        chosen = [(i, s % self.sampler.orientations) for i, s in work]
        known = self._encode(cells, chosen)
        drawn = BalancedNoise(cells, work, seed, self.sampler.balance)

        def noise() -> torch.Tensor:
            # Balanced as the cell lies: what each orientation sees is turned with it.
            upright = drawn.draw(GRID)
            return torch.stack([turn(n, k) for n, (_, k) in zip(upright, chosen, strict=True)]).to(
                self.device
            )

        field = draw_fields(self.denoiser, known, noise, self.sampler, observer)
        upright = torch.stack([turn_back(f[0], k) for f, (_, k) in zip(field, chosen, strict=True)])
        return self._shapes(upright)

    def _shapes(self, fields: torch.Tensor) -> NDArray[np.uint8]:
        """Occupancy of (N, D, H, W) fields, without crumbs."""
        from dispr_cli.shape.crumbs import remove_crumbs  # Compiled by Numba, which a training does without.

        occupancy: NDArray[np.uint8] = to_occupancy(fields, self.config.clip_distance).cpu().numpy()
        for volume in occupancy:
            remove_crumbs(volume)
        return occupancy
