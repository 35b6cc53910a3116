"""The small interface behind which every way of reconstructing a cell stands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.inputs.cell import Cell


class Method(ABC):
    """Cells in, volumes out: ours and every peer.

    A method of one's own inherits from this and gives `name`, :meth:`describe`, :meth:`identity` and
    :meth:`reconstruct`; the rest says what holds for one that computes on the CPU, cell by cell.

    Attributes
    ----------
    name
        As ``--method`` and the tables write it.
    device_type
        ``cpu``, ``cuda`` or ``mps``.
    micro_batch
        Volumes in one call of its network.
    weights_path
        File of its weights, beside which stands what was measured of them; None if they are no single file.
    """

    name: str
    device_type: str = "cpu"
    micro_batch: int = 1
    weights_path: Path | None = None

    @abstractmethod
    def describe(self) -> str:
        """Say in a few words what computes."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Everything that decides the volumes besides cells and seed: settings and hash of the weights.

        A method that learns from no cell says so: ``learns`` is False.
        """

    @abstractmethod
    def reconstruct(self, cells: Sequence[Cell], num_samples: int, seed: int) -> NDArray[np.uint8]:
        """Draw shapes.

        Returns
        -------
        (len(cells), num_samples, 64, 64, 64) uint8 occupancy, surface at 127.5. A cell's samples depend on
        its pixels, the seed and the sample's index alone, never on the cells beside it.
        """

    def learned_from(self, cell: Cell) -> bool | None:
        """Whether it was trained on this very cell; None where its weights do not say.

        Shapes of such a cell say nothing of how well new cells come out.
        """
        return None

    def take_precision(self, precision: str) -> bool:
        """Compute in ``fp32`` or ``bf16`` from now on, if ``auto`` left it open; whether that is a change."""
        return False
