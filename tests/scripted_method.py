"""A method that computes nothing, so that what is around it shows; it can dawdle, die and hang."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import GRID
from dispr_cli.inputs.cell import Cell
from dispr_cli.method import Method


@dataclass(frozen=True)
class ScriptedMethod(Method):
    """Shapes that a cell's mask, the seed and the sample's index decide.

    Attributes
    ----------
    seconds_per_cell
        Slept for each cell.
    kills_itself_if
        The process kills itself once if this file is there.
    hangs_if
        The process hangs once if this file is there.
    tag
        Stands in the identity, as a hash of weights would.
    learned
        Names of cells it is said to have learned from; nothing is known if there are none.
    """

    seconds_per_cell: float = 0.0
    kills_itself_if: Path | None = None
    hangs_if: Path | None = None
    tag: str = ""
    name: str = "scripted"
    device_type: str = "cpu"
    learned: tuple[str, ...] = ()

    def describe(self) -> str:
        return "nothing"

    def identity(self) -> dict[str, Any]:
        return {"method": self.name, "tag": self.tag}

    def learned_from(self, cell: Cell) -> bool | None:
        return cell.name in self.learned if self.learned else None

    def reconstruct(self, cells: Sequence[Cell], num_samples: int, seed: int) -> NDArray[np.uint8]:
        if _took(self.kills_itself_if):
            os.kill(os.getpid(), signal.SIGKILL)
        if _took(self.hangs_if):
            time.sleep(1000.0)
        time.sleep(self.seconds_per_cell * len(cells))
        volumes = np.zeros((len(cells), num_samples, GRID, GRID, GRID), np.uint8)
        for volume, cell in zip(volumes, cells, strict=True):
            for sample in range(num_samples):
                half = 3 + sample + seed % 5
                volume[sample, 32 - half : 32 + half] = np.where(cell.mask, 200 + sample, 0)
        return volumes


def _took(marker: Path | None) -> bool:
    """Whether the file was there; only one process finds it."""
    if marker is None:
        return False
    try:
        marker.unlink()
    except FileNotFoundError:
        return False
    return True


def load_scripted(**options: Any) -> ScriptedMethod:
    """As a worker loads a method."""
    return ScriptedMethod(**options)
