"""Check a whole store: attributes, names, every row file, every shard, the table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dispr_cli.errors import StoreError
from dispr_cli.volumes.array import metadata_differences, open_array
from dispr_cli.volumes.attributes import read_attributes
from dispr_cli.volumes.cells import CellTable, Progress
from dispr_cli.volumes.layout import ARRAY, ROWS, TABLE, ome_attributes, row_file, shard_file
from dispr_cli.volumes.names import NAMES, OFFSETS, REMEDY
from dispr_cli.volumes.rows import CellRow, ShardRows, measured, read_rows
from dispr_cli.volumes.seal import is_sealed
from dispr_cli.volumes.store import VolumeStore, open_store
from dispr_cli.volumes.table import matches_table

_REDO = (
    "Delete this file and give the run's dispr reconstruct command again: only its cells are computed anew"
)
_ANEW = "Restore the file from a copy, or reconstruct into a new store"
_MERGE = "Run dispr merge-tables, which writes this file anew"


@dataclass(frozen=True, slots=True)
class Damage:
    """Something in a store that is not as it was written.

    Attributes
    ----------
    path
        The file.
    found
        What is wrong with it.
    remedy
        What to do.
    """

    path: Path
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.found}. {self.remedy}."


@dataclass(slots=True)
class Verification:
    """What checking a store found.

    Attributes
    ----------
    num_shards, shards_checked, shards_damaged
        Shards of the store, those that were there and read whole, and those that were there and are not.
    progress
        Cells done, failed and pending; None if the store could not be opened.
    damages
        All that is wrong.
    notes
        What could not be checked, and why.
    """

    num_shards: int = 0
    shards_checked: int = 0
    shards_damaged: int = 0
    progress: Progress | None = None
    damages: list[Damage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify_store(path: Path, watch: Callable[[int, int], None] = lambda done, total: None) -> Verification:
    """Read a store from end to end and compare it with every checksum in it.

    Parameters
    ----------
    path
        Folder of the store.
    watch
        Called after each shard with the shards looked at and all there are.

    Returns
    -------
    Verification
        Cells that are still pending are no damage.

    Raises
    ------
    StoreError
        If `path` is no store of this program or its attributes are damaged, so that nothing can be checked.
    """
    store = open_store(path)
    result = Verification(store.grid.num_shards)
    result.damages += _of_attributes(path)
    result.damages += _of_array(store)
    result.notes += _of_early_versions(path)
    result.damages += _of_names(store)
    if result.damages:
        # Without names and array no shard can be read.
        return result
    result.damages += _of_offsets(store)
    for shard in range(store.grid.num_shards):
        before = len(result.damages)
        was_there = _check_shard(store, shard, result)
        sound = len(result.damages) == before
        result.shards_checked += was_there and sound
        result.shards_damaged += not sound
        watch(shard + 1, store.grid.num_shards)
    result.progress = store.progress()
    if not result.shards_damaged:
        # A table of damaged shards would say what they said, and be right.
        result.damages += _of_table(store, result.progress)
    return result


def _of_attributes(path: Path) -> Iterator[Damage]:
    file = path / "zarr.json"
    document = json.loads(file.read_bytes())
    found = document["attributes"].get("ome")
    attributes = read_attributes(path)
    try:
        name = found["multiscales"][0]["name"]
        expected = ome_attributes(name, attributes.grid.num_samples, attributes.voxel_size_um)
    except (KeyError, IndexError, TypeError):
        expected = {}
    if found != expected:
        yield Damage(file, "its attributes 'ome' are not those that were written", _ANEW)
    if (document.get("zarr_format"), document.get("node_type")) != (3, "group"):
        yield Damage(file, "it does not describe a zarr v3 group", _ANEW)


def _of_early_versions(path: Path) -> Iterator[str]:
    if not is_sealed(json.loads((path / "zarr.json").read_bytes())["attributes"]["dispr"]):
        yield "the attributes carry no checksum, as an early version wrote them"


def _of_array(store: VolumeStore) -> Iterator[Damage]:
    file = store.path / ARRAY / "zarr.json"
    try:
        differences = metadata_differences(open_array(store.path, store.grid), store.grid)
    except StoreError as error:
        yield Damage(file, str(error).removeprefix(f"{store.path / ARRAY}: ").rstrip("."), _ANEW)
        return
    if differences:
        yield Damage(file, f"not as it was written: {', '.join(differences)}", _ANEW)


def _of_names(store: VolumeStore) -> Iterator[Damage]:
    file = store.path / ROWS / NAMES
    try:
        if not store.cells.names.is_list(store.cells_sha256):
            found = "does not match the digest in the attributes" if file.exists() else "is missing"
            yield Damage(file, f"the list of cells {found}", REMEDY)
    except OSError as error:
        yield Damage(file, f"cannot be read: {error.strerror or error}", "Check the disk")


def _of_offsets(store: VolumeStore) -> Iterator[Damage]:
    try:
        if not store.cells.names.has_offsets():
            yield Damage(store.path / ROWS / OFFSETS, f"is not what {NAMES} says, or is missing", _MERGE)
    except (OSError, ValueError) as error:
        yield Damage(
            store.path / ROWS / OFFSETS, f"cannot be compared with {NAMES} ({error})", "Check the disk"
        )


def _check_shard(store: VolumeStore, shard: int, result: Verification) -> bool:
    """Check a shard; whether it was there."""
    file = row_file(store.path, shard)
    try:
        if not file.exists():
            return False
        found = read_rows(file, store.cells.names.of_shard(shard))
        if found is None:
            result.damages.append(
                Damage(file, "does not match its checksum, or is not the table of these cells", _REDO)
            )
            return True
        if not found.is_sealed:
            result.notes.append(f"{file} carries no checksum, as an early version wrote it")
        result.damages += _of_volumes(store, shard, found)
    except OSError as error:
        result.damages.append(Damage(file, f"cannot be read: {error.strerror or error}", "Check the disk"))
    return True


def _of_volumes(store: VolumeStore, shard: int, found: ShardRows) -> list[Damage]:
    file = shard_file(store.path, shard)
    content = file.read_bytes() if file.exists() else b""
    if len(content) != found.shard_bytes:
        return [Damage(file, f"holds {len(content)} bytes instead of {found.shard_bytes}", _REDO)]
    if found.shard_sha256 is not None and hashlib.sha256(content).hexdigest() != found.shard_sha256:
        return [Damage(file, "does not match its checksum", _REDO)]
    try:
        volumes, rows = store.read_shard(shard)
    except StoreError as error:
        return [Damage(file, str(error).removeprefix(f"{file}: ").rstrip("."), _REDO)]
    counted = [measured(row, samples) for row, samples in zip(rows, volumes, strict=True)]
    return _of_counts(file, counted, rows)


def _of_counts(file: Path, counted: Sequence[CellRow], rows: Sequence[CellRow]) -> list[Damage]:
    wrong = [row.name for row, again in zip(rows, counted, strict=True) if row != again]
    if not wrong:
        return []
    return [Damage(file, f"{len(wrong)} cells have other volumes than their rows say ({wrong[0]!r})", _REDO)]


def _of_table(store: VolumeStore, progress: Progress) -> list[Damage]:
    file = store.path / TABLE
    try:
        if matches_table(file, CellTable(store.path, store.grid)):
            return []
    except FileNotFoundError:
        # Parts leave the table to the one that finishes last.
        return [Damage(file, "is missing though no cell is pending", _MERGE)] if not progress.pending else []
    except OSError as error:
        return [Damage(file, f"cannot be read: {error.strerror or error}", "Check the disk")]
    return [Damage(file, "does not say what the rows of the shards say", _MERGE)]
