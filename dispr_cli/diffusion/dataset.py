"""Training cells, packed into a few arrays: small enough to carry, ready to be augmented."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, SupportsIndex

import numpy as np
import torch
from numpy.typing import NDArray

from dispr_cli.config import GRID
from dispr_cli.diffusion.augmentation import Examples
from dispr_cli.errors import InputError
from dispr_cli.inputs.cell import Cell

STEPS_PER_VOXEL = 10
"""Distances are stored in tenths of a voxel: ±12 voxels fit into int8."""

DIGEST_LETTERS = 32
"""Half of a SHA-256, 128 bits, tells any number of cells apart."""


@dataclass(frozen=True)
class TrainingCells:
    """Cells with their ground truth.

    Attributes
    ----------
    names
        One for each cell.
    distance
        (N, 64, 64, 64) int8, signed distance to the surface in tenths of a voxel.
    outline
        (N, 64, 64) int8, signed distance to the mask's outline in tenths of a pixel.
    image
        (N, 64, 64) uint8.
    voxel_sizes_um
        Side of the voxels of each cell's grid in micrometres, None where it is not known; empty where nothing
        is recorded, as in packs.
    """

    names: tuple[str, ...]
    distance: NDArray[np.int8]
    outline: NDArray[np.int8]
    image: NDArray[np.uint8]
    voxel_sizes_um: tuple[float | None, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def select(self, index: NDArray[np.integer]) -> TrainingCells:
        """Cells ``index``, in order."""
        return TrainingCells(
            tuple(self.names[i] for i in index),
            self.distance[index],
            self.outline[index],
            self.image[index],
            tuple(self.voxel_sizes_um[i] for i in index) if self.voxel_sizes_um else (),
        )

    def digests(self) -> tuple[str, ...]:
        """Digest of each cell's mask and image: two cells are the same one if theirs are equal."""
        planes = zip(self.outline, self.image, strict=True)
        return tuple(_digest(outline > 0, image) for outline, image in planes)

    def fingerprint(self) -> str:
        """Digest of everything: names, images, masks and shapes, in order."""
        digest = hashlib.blake2b("\0".join(self.names).encode(), digest_size=16)
        for array in (self.distance, self.outline, self.image):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def examples(self, index: NDArray[np.integer], device: torch.device) -> Examples:
        """Cells ``index`` as a batch on a device."""
        distance = torch.from_numpy(self.distance[index]).to(device).float() / STEPS_PER_VOXEL
        outline = torch.from_numpy(self.outline[index]).to(device).float() / STEPS_PER_VOXEL
        image = torch.from_numpy(self.image[index]).to(device).float() / 255.0
        return Examples(distance[:, None], outline, image)

    def cell(self, index: SupportsIndex) -> Cell:
        """Image and mask of one cell, as a method takes it."""
        image, name = self.image[index].astype(np.float32) / 255.0, self.names[index]
        return Cell(name, image, self.outline[index] > 0, None, Path(name), None, (0, 0, GRID, GRID), False)

    def occupancy(self, index: SupportsIndex) -> NDArray[np.uint8]:
        """Give the true volume of one cell, (64, 64, 64), as a method draws it: its surface is at 127.5."""
        share = self.distance[index].astype(np.float32) / STEPS_PER_VOXEL + 0.5
        return np.asarray(np.round(np.clip(share, 0.0, 1.0) * 255.0), np.uint8)

    def resident(self, device: torch.device) -> ResidentCells:
        """All cells as tensors, on a CUDA device if they fill less than half of its free memory."""
        tensors = [torch.from_numpy(array) for array in (self.distance, self.outline, self.image)]
        if device.type == "cuda" and 2 * sum(t.nbytes for t in tensors) < torch.cuda.mem_get_info(device)[0]:
            tensors = [tensor.to(device) for tensor in tensors]
        return ResidentCells(*tensors)

    def save(self, path: Path, compressed: bool = True) -> None:
        """Write as ``.npz``."""
        write = np.savez_compressed if compressed else np.savez
        write(
            path,
            names=np.array(self.names),
            distance=self.distance,
            outline=self.outline,
            image=self.image,
        )


class ResidentCells(NamedTuple):
    """The arrays of :class:`TrainingCells` as tensors, from which a training takes its batches."""

    distance: torch.Tensor
    outline: torch.Tensor
    image: torch.Tensor

    def examples(self, index: torch.Tensor, device: torch.device) -> Examples:
        """Cells ``index`` (on the CPU) as a batch on a device."""
        rows = index.to(self.image.device)
        distance, outline, image = (part.index_select(0, rows).to(device).float() for part in self)
        return Examples(distance[:, None] / STEPS_PER_VOXEL, outline / STEPS_PER_VOXEL, image / 255.0)


def load_cells(path: Path) -> TrainingCells:
    """Read cells packed by :meth:`TrainingCells.save`."""
    with np.load(path, allow_pickle=False) as file:
        names = tuple(str(name) for name in file["names"])
        return TrainingCells(names, file["distance"], file["outline"], file["image"])


def pack_cell(
    image: NDArray[np.float32], mask: NDArray[np.bool_], occupancy: NDArray[np.uint8]
) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.uint8]]:
    """Signed distances and image of one cell as :class:`TrainingCells` stores them.

    Parameters
    ----------
    image
        (64, 64) in [0, 1].
    mask
        (64, 64).
    occupancy
        (64, 64, 64) uint8, foreground above 127.5.
    """
    from dispr_cli.diffusion.distance import outline_distance, signed_distance

    if occupancy.shape != (64, 64, 64):
        raise InputError(f"a ground-truth volume has shape {occupancy.shape}: expected (64, 64, 64)")
    return (
        np.round(signed_distance(occupancy) * STEPS_PER_VOXEL).astype(np.int8),
        np.round(outline_distance(mask) * STEPS_PER_VOXEL).astype(np.int8),
        _bytes(image),
    )


def cell_digest(cell: Cell) -> str:
    """Digest of a cell's mask and image: what :meth:`TrainingCells.digests` gives if it is trained on."""
    return _digest(cell.mask, _bytes(cell.image))


def _bytes(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.round(image * 255.0).astype(np.uint8)


def _digest(mask: NDArray[np.bool_], image: NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.packbits(mask).tobytes() + image.tobytes()).hexdigest()[:DIGEST_LETTERS]


def join_cells(parts: list[TrainingCells]) -> TrainingCells:
    """Several packs as one, in order."""
    return TrainingCells(
        tuple(name for part in parts for name in part.names),
        np.concatenate([part.distance for part in parts]),
        np.concatenate([part.outline for part in parts]),
        np.concatenate([part.image for part in parts]),
        tuple(size for part in parts for size in part.voxel_sizes_um)
        if all(part.voxel_sizes_um for part in parts)
        else (),
    )
