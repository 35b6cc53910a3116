"""The training cell with the most similar mask, turned to fit: what looking nothing up but the mask can do.

Masks are compared in the 8 in-plane orientations (four quarter turns, each with and
without a flip). The shape is the same for every sample.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from dispr_cli.baselines.geometric import to_occupancy
from dispr_cli.baselines.outline import fill_outline
from dispr_cli.config import GRID, TRAINING_RANGES
from dispr_cli.diffusion.checkpoint import read_tensors, write_tensors
from dispr_cli.diffusion.dataset import STEPS_PER_VOXEL, TrainingCells
from dispr_cli.diffusion.known_cells import known_cells
from dispr_cli.errors import ConfigError, WeightsError
from dispr_cli.inputs.cell import Cell
from dispr_cli.method import Method
from dispr_cli.setting_ranges import check_settings

FORMAT = "dispr-nearest/1"
ORIENTATIONS = 8


@dataclass(frozen=True, slots=True)
class NearestConfig:
    """Which cells are remembered; nothing else is there to set.

    Attributes
    ----------
    validation_fraction
        Share of the cells held out.
    """

    validation_fraction: float = 0.15

    def __post_init__(self) -> None:
        check_settings(self, TRAINING_RANGES)


@dataclass(frozen=True, slots=True)
class CellBank:
    """Training cells to choose from.

    Attributes
    ----------
    names
        One for each cell.
    occupancy
        (N, 64, 64, 64) uint8, surface at 127.5.
    masks
        (N, 64, 64) bool, holes filled.
    provenance
        What is recorded of its cells, and of those that were kept out of it on purpose.
    """

    names: tuple[str, ...]
    occupancy: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    provenance: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write as safetensors."""
        tensors = {
            "occupancy": torch.from_numpy(self.occupancy),
            "masks": torch.from_numpy(self.masks.astype(np.uint8)),
        }
        metadata = {"format": FORMAT, "names": list(self.names), "provenance": self.provenance}
        write_tensors(path, tensors, metadata)

    def sha256(self) -> str:
        """Hash of everything that decides a reconstruction."""
        digest = hashlib.sha256(np.ascontiguousarray(self.occupancy).tobytes())
        digest.update(np.packbits(self.masks).tobytes())
        return digest.hexdigest()


def make_bank(cells: TrainingCells, provenance: dict[str, Any] | None = None) -> CellBank:
    """Take names, shapes and filled masks of packed training cells, and what is to be recorded of them."""
    distance = (field.astype(np.float32) / STEPS_PER_VOXEL for field in cells.distance)
    occupancy = np.stack([to_occupancy(field) for field in distance])
    masks = np.stack([fill_outline(outline > 0) for outline in cells.outline])
    return CellBank(cells.names, occupancy, masks, provenance or {})


def read_bank(path: Path) -> CellBank:
    """Read what :meth:`CellBank.save` wrote.

    Raises
    ------
    WeightsError
        If the file is missing, damaged or something else.
    """
    tensors, metadata = read_tensors(path, FORMAT)
    names = _texts(metadata.get("names"))
    shapes = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}
    count = len(names)
    expected = {
        "occupancy": ((count, GRID, GRID, GRID), torch.uint8),
        "masks": ((count, GRID, GRID), torch.uint8),
    }
    if count == 0 or shapes != expected:
        raise WeightsError(
            f"{path}: does not hold the training cells of the method nearest; "
            "write it anew with 'dispr train --method nearest'."
        )
    provenance = metadata.get("provenance")
    facts = provenance if isinstance(provenance, dict) else {}
    return CellBank(names, tensors["occupancy"].numpy(), tensors["masks"].numpy() > 0, facts)


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(map(str, values)) if isinstance(values, list) else ()


def orient(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn the last two axes by ``orientation % 4`` quarter turns, then flip the last one from 4 on."""
    turned = np.rot90(array, orientation % 4, (-2, -1))
    return turned[..., ::-1] if orientation >= 4 else turned


class NearestMethod(Method):
    """Copy of the nearest training cells; see :class:`dispr_cli.method.Method`.

    Parameters
    ----------
    bank
        Cells to choose from.
    num_neighbours
        1 copies the nearest cell; more average the occupancy of so many.
    exclude_same_name
        Leave out training cells of the cell's own name, so that a bank can be scored on its own cells.
    """

    name = "nearest"
    deterministic = True

    def __init__(self, bank: CellBank, num_neighbours: int = 1, exclude_same_name: bool = False) -> None:
        if num_neighbours < 1:
            raise ConfigError(f"the number of neighbours is {num_neighbours}: expected a whole number from 1")
        self.bank, self.num_neighbours = bank, num_neighbours
        self.exclude_same_name = exclude_same_name
        self._known = known_cells(bank.provenance, bank.sha256())
        turned = np.stack([orient(bank.masks, k) for k in range(ORIENTATIONS)], axis=1)
        self._turned = turned.reshape(len(bank.names), ORIENTATIONS, -1).astype(np.float32)
        self._areas = bank.masks.sum((1, 2)).astype(np.float32)

    def describe(self) -> str:
        """Say what computes."""
        kind = (
            "copy of the nearest"
            if self.num_neighbours == 1
            else f"mean of the {self.num_neighbours} nearest"
        )
        return f"CPU ({kind} of {len(self.bank.names)} training cells; the same shape for every sample)"

    def identity(self) -> dict[str, Any]:
        """Neighbours and hash of the bank."""
        return {
            "method": self.name,
            "num_neighbours": self.num_neighbours,
            "exclude_same_name": self.exclude_same_name,
            "weights_sha256": self.bank.sha256(),
            "deterministic": True,
        }

    def learned_from(self, cell: Cell) -> bool | None:
        """Whether the weights learned from a cell, as they record; None if they do not."""
        return self._known.learned_from(cell)

    def reconstruct(self, cells: Sequence[Cell], num_samples: int, seed: int) -> NDArray[np.uint8]:
        """Shape of each cell, repeated for each sample; ``seed`` plays no part. An empty mask stays empty."""
        volumes = np.zeros((len(cells), num_samples, GRID, GRID, GRID), np.uint8)
        for samples, cell in zip(volumes, cells, strict=True):
            if cell.mask.any():
                samples[:] = self._average(self.neighbours(cell))
        return volumes

    def neighbours(self, cell: Cell) -> list[tuple[int, int]]:
        """Training cells nearest to a cell and the orientation of each, nearest first.

        Nearest is the largest intersection over union of the filled masks; at a tie the earlier one is.

        Raises
        ------
        ConfigError
            If the bank holds fewer cells than are asked for.
        """
        overlaps = self._overlaps(fill_outline(cell.mask))
        best = overlaps.max(1)
        if self.exclude_same_name:
            best[[name == cell.name for name in self.bank.names]] = -1.0
        order = np.argsort(-best, kind="stable")[: self.num_neighbours]
        if len(order) < self.num_neighbours or best[order[-1]] < 0.0:
            raise ConfigError(
                f"{self.num_neighbours} neighbours are asked for, but only {int((best >= 0).sum())} training "
                "cells can be chosen from; ask for fewer, or train on more cells."
            )
        return [(int(index), int(overlaps[index].argmax())) for index in order]

    def _overlaps(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """IoU with every training mask in every orientation, (N, 8)."""
        shared = self._turned @ mask.ravel().astype(np.float32)
        return cast("NDArray[np.float32]", shared / (self._areas[:, None] + mask.sum() - shared))

    def _average(self, chosen: list[tuple[int, int]]) -> NDArray[np.uint8]:
        turned = [orient(self.bank.occupancy[index], k) for index, k in chosen]
        return np.rint(np.mean(turned, axis=0)).astype(np.uint8)
