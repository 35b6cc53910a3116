"""Shapes that can be read and measured, in units that are saved together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dispr_cli.inputs.cell import Cell
from dispr_cli.study.networks import NetworkRecord

MICROMETRES, VOXELS = "um", "voxel"


@dataclass(frozen=True, slots=True)
class ShapeRef:
    """A shape that can be read.

    Attributes
    ----------
    cell, sample, kind, network
        Who it is, see :class:`dispr_cli.morphology.table.FeatureRow`.
    read
        Returns the volume, (64, 64, 64) uint8; raises DisprError.
    voxel_size_um
        Side of a voxel in micrometres; None to measure in voxels.
    read_cell
        Returns the cell's image and mask, where there are any; raises CellError.
    pixel_size_um
        Side of a pixel of these on the grid in micrometres; None to measure in pixels.
    """

    cell: str
    sample: int
    kind: str
    network: str
    read: Callable[[], NDArray[np.uint8]]
    voxel_size_um: float | None
    read_cell: Callable[[], Cell] | None = None
    pixel_size_um: float | None = None


class ShapeSource(Protocol):
    """Shapes in units that are measured and saved together."""

    @property
    def name(self) -> str:
        """What is measured, for the record."""

    @property
    def num_units(self) -> int:
        """How many units there are."""

    @property
    def num_shapes(self) -> int:
        """How many shapes there are at most."""

    @property
    def num_cells(self) -> int:
        """How many cells there are, with a shape or not yet; a cell is in one unit."""

    @property
    def has_images(self) -> bool:
        """Whether the shapes have images and masks."""

    @property
    def networks(self) -> Mapping[str, NetworkRecord]:
        """What the networks behind the shapes have seen."""

    @property
    def unit_of_length(self) -> str:
        """``um`` if the voxel sizes of all shapes are known, else ``voxel``: units are never mixed."""

    def fingerprint(self) -> str:
        """Return a digest of everything that decides the shapes."""

    def unit(self, index: int) -> Sequence[ShapeRef]:
        """List the shapes of one unit."""


def file_stamp(path: Path) -> tuple[int, int]:
    """Return size and time of a file; zeros where there is none."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def digest_of(*content: Any) -> str:
    """Return the SHA-256 of what JSON can hold, and of the text of what it cannot."""
    return hashlib.sha256(json.dumps(content, default=str, sort_keys=True).encode()).hexdigest()
