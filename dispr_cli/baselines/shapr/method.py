"""SHAPR behind the interface of all methods: one pass of the network, the same shape for every sample."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dispr_cli.baselines.public_weights import read_public_tensors
from dispr_cli.baselines.shapr.network import ShapeNetwork
from dispr_cli.baselines.shapr.training import FORMAT, planes_of
from dispr_cli.config import GRID
from dispr_cli.diffusion.checkpoint import read_tensors
from dispr_cli.diffusion.device import describe
from dispr_cli.diffusion.known_cells import known_cells
from dispr_cli.errors import WeightsError
from dispr_cli.inputs.cell import Cell
from dispr_cli.method import Method

MICRO_BATCH = 4
"""Cells in one pass, always, so that a shape does not depend on the cells beside it."""


@dataclass(frozen=True)
class ShaprWeights:
    """SHAPR's network read from a file.

    Attributes
    ----------
    network
        In evaluation mode, float32, on the CPU.
    sha256
        Of the file.
    provenance
        What it was trained on; empty for public weights.
    """

    network: ShapeNetwork
    sha256: str
    provenance: dict[str, Any]


def load_shapr(path: Path) -> ShaprWeights:
    """Read weights written by ``dispr train --method shapr``, or a public PyTorch checkpoint of SHAPR.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, unsafe or not SHAPR's.
    """
    if path.suffix == ".safetensors":
        tensors, metadata = read_tensors(path, FORMAT)
        provenance = metadata.get("provenance") or {}
    else:
        tensors, provenance = _generator(read_public_tensors(path)), {}
    network = ShapeNetwork()
    expected = network.state_dict()
    wrong = [name for name in expected if name not in tensors or tensors[name].shape != expected[name].shape]
    if wrong:
        raise WeightsError(
            f"{path}: holds no SHAPR network; {len(wrong)} of its {len(expected)} tensors are missing or of "
            f"another shape (first: {wrong[0]})"
        )
    network.load_state_dict({name: tensors[name] for name in expected})
    if not all(bool(value.isfinite().all()) for value in network.state_dict().values()):
        raise WeightsError(f"{path}: holds weights that are not finite numbers; the training diverged")
    return ShaprWeights(network.eval(), hashlib.sha256(path.read_bytes()).hexdigest(), provenance)


def _generator(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Leave the discriminator out and take the generator's prefix off (Lightning: ``shapr.``)."""
    return {
        name.removeprefix("shapr."): value
        for name, value in tensors.items()
        if not name.startswith("discriminator.")
    }


class ShaprMethod(Method):
    """Reconstruct cells with a trained SHAPR network.

    Parameters
    ----------
    weights
        From :func:`load_shapr`.
    device
        Where the network runs.
    name
        ``shapr`` or ``shapr-topo``: the network is the same, its training was not.
    """

    def __init__(self, weights: ShaprWeights, device: torch.device, name: str = "shapr") -> None:
        self.weights, self.device, self.name = weights, device, name
        self.device_type = device.type
        self._known = known_cells(weights.provenance, weights.sha256)
        self.network = weights.network.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def describe(self) -> str:
        """Say what computes."""
        return describe(self.device, None)

    def identity(self) -> dict[str, Any]:
        """Hash of the weights; nothing else decides the shapes."""
        return {"method": self.name, "weights_sha256": self.weights.sha256}

    def learned_from(self, cell: Cell) -> bool | None:
        """Whether the weights learned from a cell, as they record; None if they do not."""
        return self._known.learned_from(cell)

    def reconstruct(self, cells: Sequence[Cell], num_samples: int, seed: int) -> NDArray[np.uint8]:
        """Predict each cell's shape; all its samples are equal, whatever the seed."""
        volumes = np.empty((len(cells), num_samples, GRID, GRID, GRID), np.uint8)
        for start in range(0, len(cells), MICRO_BATCH):
            chosen = [cells[min(i, len(cells) - 1)] for i in range(start, start + MICRO_BATCH)]
            image = torch.from_numpy(np.stack([cell.image for cell in chosen])).to(self.device)
            inside = torch.from_numpy(np.stack([cell.mask for cell in chosen])).to(self.device)
            with torch.inference_mode():
                probability = self.network(planes_of(image, inside))[:, 0]
            shapes = (probability * 255.0).round().to(torch.uint8).cpu().numpy()
            volumes[start : start + MICRO_BATCH] = shapes[: len(cells) - start, None]
        return volumes
