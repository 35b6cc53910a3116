"""A finished cell is only kept if it was made from the pixels that the input holds now.

Stamps of the files tell most cells at once, like the index of a version control system: only where a name,
a size or a time differs is a cell read again, and then its pixels decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice

from dispr_cli.errors import StoreError
from dispr_cli.inputs.cell import Cell
from dispr_cli.inputs.fields import FieldCache
from dispr_cli.inputs.plan import CellRef, read_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.volumes.rows import CellRow
from dispr_cli.volumes.stamps import read_stamps, write_stamps
from dispr_cli.volumes.store import VolumeStore

_MOST_NAMED = 3


def refuse_other_cells(
    store: VolumeStore, refs: Sequence[CellRef], shards: Iterable[int], inputs: InputSettings
) -> None:
    """Compare the finished cells of some shards with the input.

    Parameters
    ----------
    store
        As an earlier run left it; it stays as it is, except for stamps of files that hold the same pixels.
    refs
        All cells of the store, in its order, from a plan made now.
    shards
        Which shards.
    inputs
        How the plan was made.

    Raises
    ------
    StoreError
        If a cell was made from other pixels, or cannot be read any more.
    """
    changed = list(islice(changed_cells(store, refs, shards, inputs), _MOST_NAMED + 1))
    if changed:
        named = ", ".join(changed[:_MOST_NAMED]) + (", ..." if len(changed) > _MOST_NAMED else "")
        raise StoreError(
            f"{store.path} was made from other images or masks than the input holds now (cells {named}): "
            "choose another output, or start anew with --overwrite."
        )


def changed_cells(
    store: VolumeStore,
    refs: Sequence[CellRef],
    shards: Iterable[int],
    inputs: InputSettings,
    *,
    read_all: bool = False,
) -> Iterator[str]:
    """Yield the names of finished cells that were made from other pixels, or cannot be read any more.

    Parameters
    ----------
    store, refs, shards, inputs
        As for :func:`refuse_other_cells`.
    read_all
        Read every cell, whatever the stamps say.
    """
    fields = FieldCache(inputs)
    for shard in shards:
        rows = store.cells.of_shard(shard)
        if not any(row.made_from for row in rows):
            continue
        cells = store.grid.cells_of(shard)
        own = refs[cells.start : cells.stop]
        stamps = [None] * len(rows) if read_all else read_stamps(store.path, shard, len(rows))
        suspects = _suspects(rows, own, stamps)
        found = [rows[place].name for place in _changed(rows, own, suspects, inputs, fields)]
        yield from found
        if suspects and not found and not read_all:
            # A store that only can be read is compared anew each time.
            with suppress(OSError):
                write_stamps(store.path, shard, [ref.stamp for ref in own])


def _suspects(rows: Sequence[CellRow], refs: Sequence[CellRef], stamps: Sequence[str | None]) -> list[int]:
    """Return the places of finished cells that cannot be told to be the same without reading them."""
    return [
        place
        for place, (row, ref, stamp) in enumerate(zip(rows, refs, stamps, strict=True))
        if row.is_done
        and row.made_from
        and (stamp, row.bounding_box, row.voxel_size_um, row.voxel_size_px)
        != (ref.stamp, ref.bounding_box, ref.voxel_size_um, ref.voxel_size_px)
    ]


def _changed(
    rows: Sequence[CellRow],
    refs: Sequence[CellRef],
    places: Sequence[int],
    inputs: InputSettings,
    fields: FieldCache,
) -> Iterator[int]:
    for place, cell in read_cells(refs, inputs, places, cache=fields):
        if not isinstance(cell, Cell) or cell.made_from != rows[place].made_from:
            yield place
