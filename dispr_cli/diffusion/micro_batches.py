"""Samples of cells in micro-batches of one fixed size, for every method that draws them from noise.

Convolution libraries choose their kernels by batch size. With a fixed size, the last batch padded, a sample's
bytes do not depend on what else is reconstructed with it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from dispr_cli.config import GRID
from dispr_cli.diffusion.device import choose_autocast
from dispr_cli.errors import DisprError
from dispr_cli.inputs.cell import Cell
from dispr_cli.method import Method

Work = Sequence[tuple[int, int]]
"""Pairs of cell and sample."""


class MicroBatchedMethod(Method):
    """What such methods share, see :class:`dispr_cli.method.Method`.

    Parameters
    ----------
    device
        Where the network runs.
    micro_batch
        Volumes in one call of the network; halved when memory runs out.
    precision
        ``auto``, ``fp32`` or ``bf16``.
    notify
        Called with a sentence when the batch is halved, or the precision changed.
    """

    memory_needed = ""
    """How much a single volume needs, for those whose memory is too small."""

    def __init__(
        self, device: torch.device, micro_batch: int, precision: str, notify: Callable[[str], None]
    ) -> None:
        self.device, self.micro_batch, self.notify = device, micro_batch, notify
        self.device_type = device.type
        self.autocast = choose_autocast(device, precision)
        self._precision_is_open = precision == "auto"

    def take_precision(self, precision: str) -> bool:
        """Compute in ``fp32`` or ``bf16`` from now on, if ``auto`` left it open; whether that is a change."""
        wanted = choose_autocast(self.device, precision)
        if not self._precision_is_open or wanted == self.autocast:
            return False
        slower = wanted is not None and choose_autocast(self.device, "auto") is None
        self.autocast = wanted
        self.notify(
            f"computing in {precision}, as the store was begun"
            + (", though fp32 is faster on this machine" if slower else "")
        )
        return True

    def reconstruct(self, cells: Sequence[Cell], num_samples: int, seed: int) -> NDArray[np.uint8]:
        """Draw ``num_samples`` shapes of each cell; see :class:`dispr_cli.method.Method`."""
        volumes = np.empty((len(cells), num_samples, GRID, GRID, GRID), np.uint8)
        work, start = [(cell, sample) for cell in range(len(cells)) for sample in range(num_samples)], 0
        with self._inference():
            while start < len(work):
                part = work[start : start + self.micro_batch]
                try:
                    shapes = self._draw(cells, self._padded(part), seed)
                except (MemoryError, torch.OutOfMemoryError) as error:
                    self._halve(error)
                    continue
                except RuntimeError as error:
                    if "allocate memory" not in str(error):
                        raise
                    self._halve(error)
                    continue
                for (cell, sample), shape in zip(part, shapes, strict=False):
                    volumes[cell, sample] = shape
                start += len(part)
        return volumes

    @abstractmethod
    def _draw(self, cells: Sequence[Cell], work: Work, seed: int) -> NDArray[np.uint8]:
        """Draw one full micro-batch: (len(work), 64, 64, 64)."""

    def _padded(self, part: Work) -> Work:
        return [*part, *[part[-1]] * (self.micro_batch - len(part))]

    @contextmanager
    def _inference(self) -> Iterator[None]:
        enabled = self.autocast is not None
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=enabled):
            yield

    def _halve(self, error: BaseException) -> None:
        if self.micro_batch == 1:
            raise DisprError(
                f"memory ran out with a single volume in the batch{self.memory_needed}: close other "
                "programs, or use --device cpu if the memory of the GPU is meant"
            ) from error
        self.micro_batch //= 2
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.notify(f"memory ran out: going on with {self.micro_batch} volumes at a time")
