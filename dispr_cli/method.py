"""The small interface behind which every way of reconstructing a cell stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dispr_cli.inputs.cell import Cell


class Method(Protocol):
    """Cells in, volumes out: ours and every peer.

    Attributes
    ----------
    name
        As ``--method`` and the tables write it.
    """

    @property
    def name(self) -> str:
        """As ``--method`` and the tables write it."""

    @property
    def device_type(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""

    def describe(self) -> str:
        """Say in a few words what computes."""

    def identity(self) -> dict[str, Any]:
        """Everything that decides the volumes besides cells and seed: settings and hash of the weights.

        A method that learns from no cell says so: ``learns`` is False.
        """

    def learned_from(self, cell: Cell) -> bool | None:
        """Whether it was trained on this very cell; None where its weights do not say.

        Shapes of such a cell say nothing of how well new cells come out.
        """

    def reconstruct(self, cells: Sequence[Cell], num_samples: int, seed: int) -> NDArray[np.uint8]:
        """Draw shapes.

        Returns
        -------
        (len(cells), num_samples, 64, 64, 64) uint8 occupancy, surface at 127.5. A cell's samples depend on
        its pixels, the seed and the sample's index alone, never on the cells beside it.
        """
