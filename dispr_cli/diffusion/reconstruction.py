"""Our method: draw samples of cells with the denoiser.

The network always runs on micro-batches of one fixed size, the last one padded:
convolution libraries pick their kernels by batch size, and with a fixed size a
sample's bytes do not depend on what else is reconstructed with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from dispr_cli.config import SamplerConfig
from dispr_cli.diffusion.checkpoint import Checkpoint
from dispr_cli.diffusion.denoiser import Condition
from dispr_cli.diffusion.device import choose_autocast, describe
from dispr_cli.diffusion.distance import outline_distance
from dispr_cli.diffusion.noise import draw_noise, sample_stream
from dispr_cli.diffusion.orientation import turn, turn_back
from dispr_cli.diffusion.representation import to_occupancy
from dispr_cli.diffusion.sampler import Observer, sample
from dispr_cli.diffusion.schedule import log_sigmas
from dispr_cli.errors import DisprError
from dispr_cli.inputs.cell import GRID, Cell

MICRO_BATCH = {"cpu": 5, "mps": 10, "cuda": 40}
"""Volumes in one call of the network, by device."""

Item = TypeVar("Item")

TrajectoryStep = tuple[float, NDArray[np.float32], NDArray[np.uint8]]


class DiffusionMethod:
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
        self.checkpoint, self.sampler, self.device, self.notify = checkpoint, sampler, device, notify
        self.denoiser = checkpoint.denoiser.place(device)
        self.config = self.denoiser.config
        self.autocast = choose_autocast(device, precision)
        self.micro_batch = MICRO_BATCH[device.type]
        self.sigmas = log_sigmas(sampler.num_steps, self.config.sigma_min, self.config.sigma_max)

    @property
    def device_type(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""
        return self.device.type

    def describe(self) -> str:
        """Say what computes, and in how many steps."""
        return f"{describe(self.device, self.autocast)}, {self.sampler.num_steps} steps"

    def identity(self) -> dict[str, Any]:
        """Sampler, steps and hash of the weights."""
        return {
            "method": self.name,
            "weights_sha256": self.checkpoint.sha256,
            "sampler": self.sampler.sampler,
            "num_steps": self.sampler.num_steps,
            "eta": self.sampler.eta,
            "orientations": self.sampler.orientations,
            "precision": "bf16" if self.autocast else "fp32",
        }

    def reconstruct(self, cells: Sequence[Cell], num_samples: int, seed: int) -> NDArray[np.uint8]:
        """Draw ``num_samples`` shapes of each cell; see :class:`dispr_cli.method.Method`."""
        volumes = np.empty((len(cells), num_samples, GRID, GRID, GRID), np.uint8)
        with self._inference():
            work = [(i, s) for i in range(len(cells)) for s in range(num_samples)]
            start = 0
            while start < len(work):
                part = work[start : start + self.micro_batch]
                fields = self._sample_or_shrink(cells, part, seed)
                if fields is None:
                    continue
                for (i, s), field in zip(part, fields, strict=False):
                    volumes[i, s] = field
                start += len(part)
        return volumes

    def trajectory(self, cell: Cell, seed: int, sample_index: int = 0) -> list[TrajectoryStep]:
        """Every denoising step of one sample: (sigma, noisy field, occupancy of the estimate)."""
        steps: list[TrajectoryStep] = []

        orientation = sample_index % self.sampler.orientations

        def observe(sigma: float, x: torch.Tensor, x0: torch.Tensor) -> None:
            occupancy = to_occupancy(turn_back(x0[0, 0], orientation), self.config.clip_distance)
            steps.append((sigma, turn_back(x[0, 0], orientation).cpu().numpy(), occupancy.cpu().numpy()))

        with self._inference():
            self._sample([cell], [(0, sample_index)], seed, observe)
        return steps

    @contextmanager
    def _inference(self) -> Iterator[None]:
        enabled = self.autocast is not None
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=enabled):
            yield

    def _encode(self, cells: Sequence[Cell], chosen: Sequence[tuple[int, int]]) -> Condition:
        """Condition of cells in orientations."""
        images = [turn(torch.from_numpy(cells[i].image), k) for i, k in chosen]
        outlines = [turn(torch.from_numpy(outline_distance(cells[i].mask)), k) for i, k in chosen]
        return self.denoiser.encode(
            torch.stack(images).to(self.device), torch.stack(outlines).to(self.device)
        )

    def _sample_or_shrink(
        self, cells: Sequence[Cell], work: list[tuple[int, int]], seed: int
    ) -> NDArray[np.uint8] | None:
        """One micro-batch; None after halving it, when memory ran out."""
        try:
            return self._sample(cells, work, seed)
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
                "memory ran out with a single volume in the batch: close other programs, "
                "or use --device cpu if the memory of the GPU is meant"
            ) from error
        self.micro_batch //= 2
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.notify(f"memory ran out: going on with {self.micro_batch} volumes at a time")

    def _sample(
        self,
        cells: Sequence[Cell],
        work: list[tuple[int, int]],
        seed: int,
        observer: Observer | None = None,
    ) -> NDArray[np.uint8]:
        padded = next(iter(_padded(work, self.micro_batch)))
        # (cell, orientation) of each volume
        chosen = [(i, s % self.sampler.orientations) for i, s in padded]
        known = self._encode(cells, chosen)
        streams = [sample_stream(cells[i].image, cells[i].mask, seed, s) for i, s in padded]

        def noise() -> torch.Tensor:
            return draw_noise(streams, GRID).to(self.device)

        def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
            return self.denoiser.denoise(x, sigma, known)

        x = noise() * float(self.sigmas[0])
        observers = {} if observer is None else {"observer": observer}
        field = sample(denoise, x, self.sigmas, noise, self.sampler, **observers)
        upright = torch.stack([turn_back(f[0], k) for f, (_, k) in zip(field, chosen, strict=True)])
        return to_occupancy(upright, self.config.clip_distance).cpu().numpy()


def _padded(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """Chunks of exactly ``size``; the last one is filled up with its own last item."""
    for start in range(0, len(items), size):
        chunk = list(items[start : start + size])
        yield chunk + chunk[-1:] * (size - len(chunk))
