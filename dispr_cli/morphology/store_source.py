"""The reconstructions of a store as shapes that can be measured, beside the images they were made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import CellError, InputError
from dispr_cli.inputs.cell import Cell
from dispr_cli.inputs.fields import FieldCache
from dispr_cli.inputs.plan import Plan, plan_cells, read_cell
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.morphology.shape_ref import MICROMETRES, VOXELS, ShapeRef, digest_of, file_stamp
from dispr_cli.morphology.table import PREDICTED
from dispr_cli.study.networks import NetworkRecord, network_of
from dispr_cli.volumes.rows import CellRow
from dispr_cli.volumes.store import VolumeStore, open_store

_MOST_NAMED = 3


@dataclass(frozen=True)
class StoreSource:
    """Every sample of every finished cell of a store.

    Attributes
    ----------
    store
        The open store.
    networks
        What its networks have seen.
    plan
        The cells with image and mask, read as for the store; None if they were not given.
    inputs
        How they are read.
    said_um
        Side of a voxel in micrometres, where the user knows better than the store.
    unit_of_length
        Micrometres if the voxel size of every finished cell is known.
    """

    store: VolumeStore
    networks: Mapping[str, NetworkRecord]
    plan: Plan | None
    inputs: InputSettings
    said_um: float | None
    unit_of_length: str

    @property
    def name(self) -> str:
        """The store's name."""
        return self.store.path.absolute().name

    @property
    def num_units(self) -> int:
        """Shards of the store."""
        return self.store.grid.num_shards

    @property
    def num_shapes(self) -> int:
        """Cells times samples."""
        return self.store.num_cells * self.store.num_samples

    @property
    def num_cells(self) -> int:
        """Cells of the store, whatever their status."""
        return self.store.num_cells

    @property
    def has_images(self) -> bool:
        """Whether the cells' images were given."""
        return self.plan is not None

    def fingerprint(self) -> str:
        """Digest of the store's settings and of what is finished."""
        refs = [] if self.plan is None else [(ref.name, file_stamp(ref.image)) for ref in self.plan.cells]
        records = {name: record.as_json() for name, record in self.networks.items()}
        stamp = sorted(self.store.cells.stamp().items())
        return digest_of(self.store.configuration, stamp, refs, self.said_um, self.unit_of_length, records)

    def unit(self, index: int) -> Sequence[ShapeRef]:
        """List the samples of the finished cells of one shard."""
        volumes, rows = self.store.read_shard(index)
        return [
            ShapeRef(
                row.name,
                sample,
                PREDICTED,
                self._network_of(row.name),
                partial(_same, volumes[place, sample]),
                self._size_of(row),
                None if self.plan is None else partial(self._read, row),
                self._size_of(row),
            )
            for place, row in enumerate(rows)
            if row.is_done
            for sample in range(volumes.shape[1])
        ]

    def _size_of(self, row: CellRow) -> float | None:
        return None if self.unit_of_length == VOXELS else _size_of(row, self.store, self.said_um)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {} if self.plan is None else {ref.name: place for place, ref in enumerate(self.plan.cells)}

    @cached_property
    def _fields(self) -> FieldCache:
        return FieldCache(self.inputs)

    def _read(self, row: CellRow) -> Cell:
        assert self.plan is not None
        cell = read_cell(self.plan.cells[self._places[row.name]], self.inputs, self._fields)
        if row.made_from and cell.made_from != row.made_from:
            raise CellError(
                f"{cell.source}: image or mask are not those that the cell was reconstructed from."
            )
        return cell

    def _network_of(self, cell: str) -> str:
        """Name the one network, or among several the one that was not trained on a cell."""
        first = next(iter(self.networks))
        return first if len(self.networks) == 1 else network_of(cell, self.networks) or first


def _same(volume: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return volume


def _size_of(row: CellRow, store: VolumeStore, said_um: float | None) -> float | None:
    return said_um or row.voxel_size_um or store.voxel_size_um


def open_store_source(
    path: Path,
    images: Path | None,
    masks: Path | None,
    voxel_size_um: float | None,
    facts: Mapping[str, frozenset[str] | None],
    never_seen: bool,
) -> StoreSource:
    """Open a store to measure it.

    Parameters
    ----------
    path
        The store.
    images
        Where the images and masks of its cells are; they are read as they were for the store.
    masks
        Where the masks are, if they are not beside the images.
    voxel_size_um, facts, never_seen
        As for :func:`dispr_cli.morphology.sources.find_shapes`.

    Raises
    ------
    DisprError
        If the store cannot be read, or `images` are not those that it was made from.
    """
    store = open_store(path)
    inputs = InputSettings.of_store(store.configuration)
    plan = None if images is None else plan_cells(images, inputs, masks=masks)
    boxes = None if plan is None else {ref.name: ref.bounding_box for ref in plan.cells}
    known, missing, moved = True, [], []
    for row in store.cells:
        if row.is_done:
            known = known and _size_of(row, store, voxel_size_um) is not None
            if boxes is not None and row.name not in boxes:
                missing.append(row.name)
            elif boxes is not None and row.bounding_box not in (None, boxes[row.name]):
                moved.append(row.name)
    for names, words in ((missing, "lacks"), (moved, "has in other places of their images")):
        if names:
            some = ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
            raise InputError(
                f"{images}: {words} {len(names)} of the cells of {path} ({some}); give the images and "
                "masks that the store was made from (--masks, if these were elsewhere)."
            )
    if never_seen and (learned := sum(row.learned is True for row in store.cells)):
        raise InputError(
            f"--never-seen: {path} records that its weights learned from {learned} of its {store.num_cells} "
            "cells; leave it out"
        )
    networks = _networks_of(store, facts, never_seen)
    return StoreSource(store, networks, plan, inputs, voxel_size_um, MICROMETRES if known else VOXELS)


def _networks_of(
    store: VolumeStore, facts: Mapping[str, frozenset[str] | None], never_seen: bool
) -> dict[str, NetworkRecord]:
    """Say of each network behind a store what it has seen."""
    method = str(store.configuration.get("method", "unknown"))
    together = store.configuration.get("weights_sha256")
    if together is None and store.configuration.get("learns") is False:
        return {method: NetworkRecord(None, True, f"{method} learns from no cell")}
    single = [str(digest) for digest in (store.configuration.get("held_out_weights") or {}).values()]
    if not single or not all(facts.get(digest) for digest in single):
        single = [str(together or method)]
    reason = "said by the user" if never_seen else "recorded in the weights"
    return {digest: NetworkRecord(facts.get(digest), never_seen, reason) for digest in single}
