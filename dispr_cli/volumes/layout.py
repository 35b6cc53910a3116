"""How a store is laid out: shapes, shards, the files inside it, and its OME metadata.

::

    out.zarr/
      zarr.json            the group: OME-Zarr 0.5 image, and the attributes ``dispr``
      0/                   the array (cell, sample, z, y, x), one file per shard
      cells.csv            the table for people, assembled from the row files
      dispr_rows/
        names.jsonl        the name of every cell, one JSON string per line
        names.offsets      where each shard's names begin in that file; counted anew where it is lost
        000012.json        the finished rows of shard 12 and the checksums of both; it makes the shard count
        000012.stamps      names, sizes and times of the files its cells were read from, hashed; may be lost
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispr_cli.config import GRID

AXES = ("t", "c", "z", "y", "x")
"""Cell, sample and space; t and c because both OME validators accept no other 5D image."""

ARRAY = "0"
ROWS = "dispr_rows"
TABLE = "cells.csv"
FORMAT = 1
"""Version of this layout; a store with a higher one is refused."""

_SHARD_BYTES = 40 * 2**20
_MOST_CELLS_PER_SHARD = 64
# Okabe and Ito's palette: told apart by colour-blind readers too.
_CHANNEL_COLOURS = ("E69F00", "56B4E9", "009E73", "F0E442", "0072B2", "D55E00", "CC79A7", "FFFFFF")


def cells_per_shard(num_samples: int) -> int:
    """Return how many cells a shard holds so that it takes about 40 MiB before compression."""
    return max(1, min(_MOST_CELLS_PER_SHARD, _SHARD_BYTES // (num_samples * GRID**3)))


@dataclass(frozen=True, slots=True)
class ShardGrid:
    """Which cells stand in which shard.

    Attributes
    ----------
    num_cells, num_samples
        Length of the array's first two axes.
    shard_cells
        Cells per shard; the last shard may hold fewer.
    """

    num_cells: int
    num_samples: int
    shard_cells: int

    @property
    def num_shards(self) -> int:
        """Number of shards of the whole store."""
        return -(-self.num_cells // self.shard_cells)

    def cells_of(self, shard: int) -> range:
        """Return the indices of the cells of one shard."""
        if not 0 <= shard < self.num_shards:
            raise IndexError(f"shard {shard} of a store with {self.num_shards} shards")
        start = shard * self.shard_cells
        return range(start, min(start + self.shard_cells, self.num_cells))

    def shard_of(self, cell: int) -> int:
        """Return the shard that holds one cell."""
        return cell // self.shard_cells

    def volume_shape(self, shard: int) -> tuple[int, int, int, int, int]:
        """Return the shape of the volumes of one shard."""
        return (len(self.cells_of(shard)), self.num_samples, GRID, GRID, GRID)


def shard_file(store: Path, shard: int) -> Path:
    """Return the file of one shard, as zarr's default chunk keys name it."""
    return store / ARRAY / "c" / str(shard) / "0" / "0" / "0" / "0"


def row_file(store: Path, shard: int) -> Path:
    """Return the row file of one shard."""
    return store / ROWS / f"{shard:06d}.json"


def stamp_file(store: Path, shard: int) -> Path:
    """Return the file with the stamps of one shard's input."""
    return row_file(store, shard).with_suffix(".stamps")


def ome_attributes(name: str, num_samples: int, voxel_size_um: float | None) -> dict[str, Any]:
    """Return the ``ome`` attribute of the root group, after the OME-Zarr 0.5 specification.

    Parameters
    ----------
    name
        Name of the image.
    num_samples
        Channels to describe.
    voxel_size_um
        Side of a voxel in micrometres; None leaves the space axes without a unit, at scale 1.
    """
    unit = {} if voxel_size_um is None else {"unit": "micrometer"}
    side = 1.0 if voxel_size_um is None else float(voxel_size_um)
    kinds = ("time", "channel", "space", "space", "space")
    axes: list[dict[str, str]] = [
        {"name": axis, "type": kind, **(unit if kind == "space" else {})}
        for axis, kind in zip(AXES, kinds, strict=True)
    ]
    scale = {"type": "scale", "scale": [1.0, 1.0, side, side, side]}
    return {
        "version": "0.5",
        "multiscales": [
            {
                "name": name,
                "axes": axes,
                "datasets": [{"path": ARRAY, "coordinateTransformations": [scale]}],
            }
        ],
        "omero": {"channels": [_channel(sample) for sample in range(num_samples)]},
    }


def _channel(sample: int) -> dict[str, Any]:
    return {
        "label": f"sample {sample}",
        "color": _CHANNEL_COLOURS[sample % len(_CHANNEL_COLOURS)],
        "active": sample == 0,
        "window": {"min": 0.0, "max": 255.0, "start": 0.0, "end": 255.0},
    }
