"""DISPR of 2022 behind the interface of all methods.

A volume in the published 1000 steps takes hours on a CPU; ``--steps`` visits fewer levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dispr_cli.baselines.dispr2022.diffusion import Diffusion, make_schedule
from dispr_cli.baselines.dispr2022.sampling import check_sampler, draw_volumes, tile_condition
from dispr_cli.baselines.dispr2022.settings import PUBLISHED_SAMPLER
from dispr_cli.baselines.dispr2022.weights import Dispr2022Weights
from dispr_cli.config import SamplerConfig
from dispr_cli.diffusion.device import choose_autocast, describe
from dispr_cli.diffusion.noise import draw_noise, sample_stream
from dispr_cli.errors import DisprError
from dispr_cli.inputs.cell import GRID, Cell

MICRO_BATCH = {"cpu": 1, "mps": 1, "cuda": 8}
"""Volumes in one call of the network, by device; a fixed number, lest shapes depend on their neighbours."""

Work = list[tuple[int, int]]
"""Pairs of cell and sample."""


class Dispr2022Method:
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

    def __init__(
        self,
        weights: Dispr2022Weights,
        device: torch.device,
        sampler: SamplerConfig = PUBLISHED_SAMPLER,
        precision: str = "auto",
        notify: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.weights, self.device, self.sampler = weights, device, check_sampler(sampler)
        self.diffusion = Diffusion(make_schedule(sampler.num_steps), device)
        self.network = weights.network.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.autocast = choose_autocast(device, precision)
        self.micro_batch, self.notify = MICRO_BATCH[device.type], notify

    @property
    def device_type(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""
        return self.device.type

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

    def reconstruct(self, cells: Sequence[Cell], num_samples: int, seed: int) -> NDArray[np.uint8]:
        """Draw ``num_samples`` shapes of each cell."""
        volumes = np.empty((len(cells), num_samples, GRID, GRID, GRID), np.uint8)
        work = [(cell, sample) for cell in range(len(cells)) for sample in range(num_samples)]
        with self._inference():
            while work:
                part = work[: self.micro_batch]
                shapes = self._draw_or_shrink(cells, part, seed)
                if shapes is None:
                    continue
                for (cell, sample), shape in zip(part, shapes, strict=False):
                    volumes[cell, sample] = shape
                work = work[len(part) :]
        return volumes

    @contextmanager
    def _inference(self) -> Iterator[None]:
        enabled = self.autocast is not None
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=enabled):
            yield

    def _draw_or_shrink(self, cells: Sequence[Cell], part: Work, seed: int) -> NDArray[np.uint8] | None:
        """One micro-batch; None after halving it, when memory ran out."""
        try:
            return self._draw(cells, part + part[-1:] * (self.micro_batch - len(part)), seed)
        except (MemoryError, torch.OutOfMemoryError) as error:
            self._shrink(error)
        except RuntimeError as error:
            if "allocate memory" not in str(error):
                raise
            self._shrink(error)
        return None

    def _shrink(self, error: BaseException) -> None:
        if self.micro_batch == 1:
            raise DisprError(
                "memory ran out with a single volume in the batch: the published network needs about 1 GB; "
                "close other programs, or use --device cpu if the memory of the GPU is meant"
            ) from error
        self.micro_batch //= 2
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.notify(f"memory ran out: going on with {self.micro_batch} volumes at a time")

    def _draw(self, cells: Sequence[Cell], part: Work, seed: int) -> NDArray[np.uint8]:
        image = torch.from_numpy(np.stack([cells[i].image for i, _ in part])).to(self.device)
        inside = torch.from_numpy(np.stack([cells[i].mask for i, _ in part])).to(self.device)
        streams = [sample_stream(cells[i].image, cells[i].mask, seed, s) for i, s in part]

        def noise() -> torch.Tensor:
            return draw_noise(streams, GRID).to(self.device)

        volume = draw_volumes(
            self.network, tile_condition(image, inside), self.diffusion, noise, self.sampler
        )
        occupancy = (volume[:, 0].clamp(0.0, 1.0) * 255.0).round()
        return np.asarray(occupancy.to(torch.uint8).cpu().numpy())
