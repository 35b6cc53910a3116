"""What is known of each cell besides its volumes, and the file that makes a shard count as done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import FOREGROUND
from dispr_cli.durable import replace_bytes
from dispr_cli.volumes.seal import is_intact, is_sealed, seal

DONE = "done"
PENDING = "pending"
FAILED = "failed: "

_GARBLED = (
    FileNotFoundError,
    ArithmeticError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
)

Scalar = str | int | float | bool | None
_SCALARS = (str, int, float, bool, type(None))

_LARGEST_VOXEL = 1e9
"""A kilometre, or so many pixels; its cube is still a number."""


@dataclass(frozen=True, slots=True)
class CellRow:
    """One row of the table of cells.

    Attributes
    ----------
    name
        The cell's name, unique within the store.
    source
        The file that the cell was cut from, named from the folder of the run's source; absolute if elsewhere.
    label
        Its value in a label image; None where the mask holds one cell.
    bounding_box
        (y0, x0, y1, x1) in pixels of the source, half open.
    touches_border
        Whether the border of the source cuts the cell.
    voxel_size_um
        Side of a voxel in micrometres, None if unknown.
    voxel_size_px
        Side of a voxel in pixels of the source.
    scaled
        How the cell was laid on the grid: ``verbatim``, ``physical`` or ``fit``.
    source_shape
        (height, width) of the source in pixels.
    made_from
        Digest of the pixels the cell was made from; empty where nobody took it.
    status
        ``done``, ``pending`` or ``failed: why``.
    extra
        Further columns for the table.
    volume_voxels_mean, volume_voxels_sd
        Foreground voxels, mean and standard deviation (n - 1) over the samples; filled in by the
        store. One sample has no standard deviation.
    surface_voxels_mean, surface_voxels_sd
        Area of the surface at 127.5 in squares of a voxel's side, over the samples.
    volume_voxels_low, volume_voxels_high, surface_voxels_low, surface_voxels_high
        Interval whose coverage was measured on held-out cells; None where none was.
    unlike_training
        Above 1 for cells that look unlike those trained on; None where that is unknown.
    learned
        Whether the weights learned from this very cell; None where they do not say.
    """

    name: str
    source: str = ""
    label: int | None = None
    bounding_box: tuple[int, int, int, int] | None = None
    touches_border: bool | None = None
    voxel_size_um: float | None = None
    voxel_size_px: float | None = None
    scaled: str | None = None
    source_shape: tuple[int, int] | None = None
    made_from: str = ""
    status: str = DONE
    extra: Mapping[str, Scalar] = field(default_factory=dict)
    volume_voxels_mean: float | None = None
    volume_voxels_sd: float | None = None
    surface_voxels_mean: float | None = None
    surface_voxels_sd: float | None = None
    volume_voxels_low: float | None = None
    volume_voxels_high: float | None = None
    surface_voxels_low: float | None = None
    surface_voxels_high: float | None = None
    unlike_training: float | None = None
    learned: bool | None = None

    def __post_init__(self) -> None:
        if self.status not in (DONE, PENDING) and not self.status.startswith(FAILED):
            raise ValueError(f"status {self.status!r} is neither done, pending nor 'failed: why'")

    @property
    def is_done(self) -> bool:
        """Whether the cell's volumes are in the store."""
        return self.status == DONE

    @property
    def is_failed(self) -> bool:
        """Whether the cell was tried and could not be reconstructed."""
        return self.status.startswith(FAILED)


_NUMBERS = (
    *("voxel_size_um", "voxel_size_px", "unlike_training"),
    *(f"volume_voxels_{number}" for number in ("mean", "sd", "low", "high")),
    *(f"surface_voxels_{number}" for number in ("mean", "sd", "low", "high")),
)
"""Columns of numbers."""


def measured(row: CellRow, volumes: NDArray[np.uint8]) -> CellRow:
    """Return the row with the volumes of its samples, (S, Z, Y, X), counted in voxels."""
    if not row.is_done:
        return replace(row, volume_voxels_mean=None, volume_voxels_sd=None)
    counts = np.count_nonzero(volumes >= FOREGROUND, axis=(1, 2, 3)).astype(np.float64)
    spread = float(counts.std(ddof=1)) if len(counts) > 1 else None
    return replace(row, volume_voxels_mean=float(counts.mean()), volume_voxels_sd=spread)


@dataclass(frozen=True, slots=True)
class ShardRows:
    """The content of a row file.

    Attributes
    ----------
    rows
        One row per cell of the shard.
    shard_bytes
        Size of the shard's file when the rows were written; another size means a torn shard.
    shard_sha256
        Digest of that file; None in stores of early versions.
    is_sealed
        Whether the file carried a checksum of itself; those of early versions do not.
    """

    rows: tuple[CellRow, ...]
    shard_bytes: int
    shard_sha256: str | None = None
    is_sealed: bool = False


def write_rows(path: Path, rows: Sequence[CellRow], shard: bytes) -> None:
    """Write a row file, whole or not at all.

    Parameters
    ----------
    shard
        What stands in the shard's file; its size and digest are kept beside the rows.

    Raises
    ------
    OSError
        As the operating system gives it.
    """
    digest = hashlib.sha256(shard).hexdigest()
    content = {"shard_bytes": len(shard), "shard_sha256": digest, "rows": [asdict(row) for row in rows]}
    plain = json.loads(json.dumps(content, default=_plain))
    replace_bytes(path, json.dumps(seal(plain), separators=(",", ":")).encode())


def read_rows(path: Path, names: Sequence[str]) -> ShardRows | None:
    """Read a row file; None if it is missing, damaged, or speaks of other cells than `names`."""
    try:
        content = json.loads(path.read_bytes())
        rows = tuple(_row(entry) for entry in content["rows"])
        digest = content.get("shard_sha256")
        shard_rows = ShardRows(rows, int(content["shard_bytes"]), digest, is_sealed(content))
        if shard_rows.is_sealed and not is_intact(content):
            return None
    except _GARBLED:
        return None
    return shard_rows if [row.name for row in rows] == list(names) else None


def _row(entry: dict[str, Any]) -> CellRow:
    """Return what an entry says; an error of :data:`_GARBLED` where it holds what no row can hold."""
    lists = {name: entry.get(name) for name in ("bounding_box", "source_shape")}
    row = CellRow(**entry | {name: None if found is None else tuple(found) for name, found in lists.items()})
    for name in _NUMBERS:
        value = getattr(row, name)
        if value is None:
            continue
        if type(value) not in (int, float):
            raise TypeError(name)
        float(value)  # Refuses whole numbers that no table can reckon with.
    for size in (row.voxel_size_um, row.voxel_size_px):
        if size is not None and not 0.0 < size < _LARGEST_VOXEL:
            raise ValueError("voxel_size")
    for whole, length in ((row.bounding_box, 4), (row.source_shape, 2)):
        if whole is not None and (len(whole) != length or any(type(number) is not int for number in whole)):
            raise TypeError("bounding_box")
    if not isinstance(row.made_from, str) or not isinstance(row.scaled, str | None):
        raise TypeError("made_from")
    if any(flag not in (None, True, False) for flag in (row.touches_border, row.learned)):
        raise TypeError("learned")
    if type(row.label) not in (int, type(None)):
        raise TypeError("label")
    if not isinstance(row.source, str) or not all(isinstance(v, _SCALARS) for v in row.extra.values()):
        raise TypeError("extra")
    return row


def _plain(value: Any) -> Any:
    """Let numpy's scalars into JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a column of the table cannot hold {type(value).__name__}")
