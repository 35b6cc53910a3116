"""What can be measured: a store of reconstructions, cells with ground truth, or a folder of volumes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import InputError
from dispr_cli.inputs.cell import Cell
from dispr_cli.inputs.listing import IMAGE_FOLDERS, TRUTH_FOLDERS
from dispr_cli.inputs.pairing import is_hidden, is_image, stem
from dispr_cli.inputs.plan import Plan, plan_cells, read_cell
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.inputs.truth import read_truth
from dispr_cli.morphology.table import PREDICTED, TRUTH
from dispr_cli.study.networks import NetworkRecord, network_of
from dispr_cli.volumes.store import VolumeStore, open_store

FILES_IN_A_UNIT = 32
"""Shapes of a folder that are measured and saved together."""


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
        Side of a voxel in micrometres; None if unknown.
    read_cell
        Returns the cell's image and mask, where there are any; raises CellError.
    """

    cell: str
    sample: int
    kind: str
    network: str
    read: Callable[[], NDArray[np.uint8]]
    voxel_size_um: float | None
    read_cell: Callable[[], Cell] | None = None


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
    def has_images(self) -> bool:
        """Whether the shapes have images and masks."""

    @property
    def networks(self) -> Mapping[str, NetworkRecord]:
        """What the networks behind the shapes have seen."""

    def voxel_size_um(self) -> float | None:
        """Return the voxel size all shapes share; None if it is unknown or they differ."""

    def fingerprint(self) -> str:
        """Return a digest of everything that decides the shapes."""

    def unit(self, index: int) -> Sequence[ShapeRef]:
        """List the shapes of one unit."""


@dataclass(frozen=True)
class FolderSource:
    """Volumes in files, one for each cell.

    Attributes
    ----------
    folder
        What the user gave.
    files
        Cell and file of each volume, in order.
    kind
        ``truth`` or ``predicted``.
    network
        Name of what made them, where they are predicted.
    networks
        What that has seen.
    plan
        The cells with image and mask; None where there are only volumes.
    inputs
        How they are read.
    """

    folder: Path
    files: tuple[tuple[str, Path], ...]
    kind: str
    network: str
    networks: Mapping[str, NetworkRecord]
    plan: Plan | None
    inputs: InputSettings

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def num_units(self) -> int:
        """Files in portions of 32."""
        return -(-len(self.files) // FILES_IN_A_UNIT)

    @property
    def num_shapes(self) -> int:
        """One for each file."""
        return len(self.files)

    @property
    def has_images(self) -> bool:
        """Whether image and mask lie beside the volumes."""
        return self.plan is not None

    def voxel_size_um(self) -> float | None:
        """Return the size given by the user, or the one all cells have."""
        if self.plan is None or self.inputs.pixel_size_um is not None:
            return self.inputs.pixel_size_um
        return self.plan.voxel_size_um

    def fingerprint(self) -> str:
        """Digest of names, sizes and times of the files, and of the settings."""
        facts = [(cell, str(path), _stamp(path)) for cell, path in self.files]
        refs = [] if self.plan is None else self.plan.cells
        facts += [
            (ref.name, str(path), _stamp(path)) for ref in refs for path in (ref.image, ref.mask) if path
        ]
        return _digest(facts, dataclasses.asdict(self.inputs), self.kind, self.network)

    def unit(self, index: int) -> Sequence[ShapeRef]:
        """List the shapes of one portion."""
        portion = self.files[index * FILES_IN_A_UNIT : (index + 1) * FILES_IN_A_UNIT]
        size = self.voxel_size_um()
        cells = {} if self.plan is None else {ref.name: ref for ref in self.plan.cells}
        return [
            ShapeRef(
                cell,
                0,
                self.kind,
                self.network,
                partial(read_truth, path),
                size,
                partial(read_cell, cells[cell], self.inputs) if cell in cells else None,
            )
            for cell, path in portion
        ]


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
        The cells with image and mask; None if they were not given.
    inputs
        How they are read.
    """

    store: VolumeStore
    networks: Mapping[str, NetworkRecord]
    plan: Plan | None
    inputs: InputSettings

    @property
    def name(self) -> str:
        """The store's name."""
        return self.store.path.name

    @property
    def num_units(self) -> int:
        """Shards of the store."""
        return self.store.grid.num_shards

    @property
    def num_shapes(self) -> int:
        """Cells times samples."""
        return self.store.num_cells * self.store.num_samples

    @property
    def has_images(self) -> bool:
        """Whether the cells' images were given."""
        return self.plan is not None

    def voxel_size_um(self) -> float | None:
        """Return the store's voxel size, or the user's."""
        return self.inputs.pixel_size_um or self.store.voxel_size_um

    def fingerprint(self) -> str:
        """Digest of the store's settings and of what is finished."""
        refs = [] if self.plan is None else [(ref.name, _stamp(ref.image)) for ref in self.plan.cells]
        records = {name: record.as_json() for name, record in self.networks.items()}
        stamp = sorted(self.store.cells.stamp().items())
        return _digest(self.store.configuration, stamp, refs, dataclasses.asdict(self.inputs), records)

    def unit(self, index: int) -> Sequence[ShapeRef]:
        """List the samples of the finished cells of one shard."""
        volumes, rows = self.store.read_shard(index)
        cells = {} if self.plan is None else {ref.name: ref for ref in self.plan.cells}
        return [
            ShapeRef(
                row.name,
                sample,
                PREDICTED,
                self._network_of(row.name),
                partial(_same, volumes[place, sample]),
                self.voxel_size_um() and (self.inputs.pixel_size_um or row.voxel_size_um),
                partial(read_cell, cells[row.name], self.inputs) if row.name in cells else None,
            )
            for place, row in enumerate(rows)
            if row.is_done
            for sample in range(volumes.shape[1])
        ]

    def _network_of(self, cell: str) -> str:
        """Name the one network, or among several the one that was not trained on a cell."""
        first = next(iter(self.networks))
        return first if len(self.networks) == 1 else network_of(cell, self.networks) or first


def _same(volume: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return volume


def find_shapes(
    source: Path,
    inputs: InputSettings,
    *,
    images: Path | None = None,
    facts: Mapping[str, frozenset[str] | None] | None = None,
    predicted: bool = False,
    never_seen: bool = False,
) -> ShapeSource:
    """Find out what a path holds.

    Parameters
    ----------
    source
        A store, a folder with ``obj/`` (and ``image/`` and ``mask/``), or a folder of volumes.
    inputs
        How cells are read; its pixel size wins over what files say.
    images
        Folder with the cells' images and masks, for a store.
    facts
        Held-out cells by hash of the weights, for a store.
    predicted
        The volumes of a folder are predictions of another program.
    never_seen
        The user says that no network behind the shapes was trained on any of these cells.

    Raises
    ------
    DisprError
        If there is nothing to measure.
    """
    if (source / "zarr.json").is_file():
        store = open_store(source)
        plan = None if images is None else plan_cells(images, inputs)
        return StoreSource(store, _networks_of(store, facts or {}, never_seen), plan, inputs)
    if not source.is_dir():
        raise InputError(f"{source}: is no folder; expected a store, a folder with obj/, or one of volumes.")
    folder = next((source / name for name in TRUTH_FOLDERS if (source / name).is_dir()), source)
    with_images = images or (source if any((source / name).is_dir() for name in IMAGE_FOLDERS) else None)
    plan = None if with_images is None else plan_cells(with_images, inputs)
    files = _volumes_in(folder) if plan is None or predicted else _truths_of(plan)
    network = f"volumes of {source.name}" if predicted else ""
    said = NetworkRecord(None, never_seen, "said by the user" if never_seen else "")
    records = {network: said} if predicted else {}
    return FolderSource(source, files, PREDICTED if predicted else TRUTH, network, records, plan, inputs)


def _truths_of(plan: Plan) -> tuple[tuple[str, Path], ...]:
    files = tuple((ref.name, ref.truth) for ref in plan.cells if ref.truth is not None)
    if not files:
        raise InputError(
            f"{plan.source}: none of its {len(plan.cells)} cells has a volume in obj/; reconstruct them "
            "first (dispr reconstruct) and measure the store."
        )
    return files


def _volumes_in(folder: Path) -> tuple[tuple[str, Path], ...]:
    files = (path for path in sorted(folder.iterdir()) if is_image(path.name) and not is_hidden(path.name))
    found = [path for path in files if path.is_file()]
    if not found:
        raise InputError(
            f"{folder}: holds no volume; expected a store, a folder with obj/, or TIFFs of 64 x 64 x 64."
        )
    return tuple((stem(path.name), path) for path in found)


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


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _digest(*content: Any) -> str:
    return hashlib.sha256(json.dumps(content, default=str, sort_keys=True).encode()).hexdigest()
