"""``cells.csv``: the table of cells for people and spreadsheets, and how it is read back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dispr_cli.durable import replaced
from dispr_cli.errors import StoreError
from dispr_cli.volumes.cells import CellTable, Progress
from dispr_cli.volumes.formulas import guarded, unguarded
from dispr_cli.volumes.rows import CellRow, Scalar

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_PLACE = ("index", "name", "source", "label", "y0", "x0", "y1", "x1", "touches_border")
_SCALE = ("voxel_size_um", "voxel_size_px", "scaled")
_STATISTICS = ("mean", "sd", "low", "high")
_VOXELS = tuple(f"{what}_voxels_{number}" for what in ("volume", "surface") for number in _STATISTICS)
_OWN = (*_SCALE, "status", *_VOXELS, "unlike_training", "learned")
_FIXED = (*_PLACE, *_OWN)
_UNITS = ("um", "px")
_IN_UNITS = {
    unit: {
        f"{what}_{unit}{power}_{number}": (f"{what}_voxels_{number}", power)
        for what, power in (("volume", 3), ("surface", 2))
        for number in _STATISTICS
    }
    for unit in _UNITS
}
"""Columns in micrometres and in pixels of the source: what is counted in voxels, and the power of a side."""


def write_table(path: Path, table: CellTable) -> Progress:
    """Write the table of all cells, whole or not at all, one shard in memory at a time.

    Returns
    -------
    Progress
        The cells written, counted by their status.

    Raises
    ------
    OSError
        As the operating system gives it.
    StoreError
        If the list of names is damaged.
    """
    with replaced(path) as file:
        text = io.TextIOWrapper(file, "utf-8", errors="backslashreplace", newline="", write_through=True)
        progress = _write_into(text, table)
        text.detach()
    return progress


def matches_table(path: Path, table: CellTable) -> bool:
    """Whether the file is what :func:`write_table` would write now.

    Raises
    ------
    OSError
        As the operating system gives it.
    StoreError
        If the list of names is damaged.
    """
    with path.open("rb") as file:
        comparison = _Comparison(file)
        _write_into(comparison, table)
        return comparison.is_equal and not file.read(1)


class _Comparison:
    """Takes what would be written and compares it with a file that is there."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.is_equal = file, True

    def write(self, text: str) -> int:
        wanted = text.encode("utf-8", "backslashreplace")
        self.is_equal = self.is_equal and self.file.read(len(wanted)) == wanted
        return len(text)


def _write_into(text: SupportsWrite[str], table: CellTable) -> Progress:
    columns = _columns(table)
    done = failed = 0
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([guarded(column) for column in columns])
    for index, row in enumerate(table):
        entries = _entries(index, row)
        writer.writerow([_cell(entries.get(column)) for column in columns])
        done, failed = done + row.is_done, failed + row.is_failed
    return Progress(done, failed, len(table) - done - failed)


def read_table(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a ``cells.csv`` as column -> text, formulas as they were before.

    Raises
    ------
    StoreError
        If the file is missing or is not such a table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            if "name" not in (reader.fieldnames or ()):
                raise StoreError(f"{path} is not a table of cells: it has no column 'name'.")
            for row in reader:
                yield {
                    unguarded(column): unguarded(text) for column, text in row.items() if column is not None
                }
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StoreError(f"{path}: the table of cells cannot be read ({error}).") from error


def _columns(table: CellTable) -> list[str]:
    """Return the columns that any row needs, the fixed ones first; pixels where micrometres are unknown."""
    extra: dict[str, None] = {}
    needed = dict.fromkeys(_UNITS, False)
    for row in table:
        extra.update(dict.fromkeys(row.extra))
        needed["um"] = needed["um"] or row.voxel_size_um is not None
        needed["px"] = needed["px"] or (row.voxel_size_um is None and row.voxel_size_px is not None)
    return [*_FIXED, *(column for unit in _UNITS if needed[unit] for column in _IN_UNITS[unit]), *extra]


def _entries(index: int, row: CellRow) -> dict[str, Scalar]:
    box = row.bounding_box or (None, None, None, None)
    place = (index, row.name, row.source, row.label, *box, row.touches_border)
    entries: dict[str, Scalar] = {**row.extra, **dict(zip(_PLACE, place, strict=True))}
    for column in _OWN:
        entries[column] = getattr(row, column)
    for unit, columns in _IN_UNITS.items():
        size = getattr(row, f"voxel_size_{unit}")
        for column, (in_voxels, power) in columns.items():
            count = getattr(row, in_voxels)
            entries[column] = None if size is None or count is None else count * size**power
    return entries


def _cell(value: Scalar) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.6g}"
        case _:
            return guarded(value) if isinstance(value, str) else str(value)
