"""What can be measured: a store of reconstructions, cells with ground truth, or a folder of volumes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import FOREGROUND, GRID
from dispr_cli.errors import CellError, DisprError, InputError
from dispr_cli.inputs.images import read_volume
from dispr_cli.inputs.listing import IMAGE_FOLDERS, TRUTH_FOLDERS
from dispr_cli.inputs.pairing import is_hidden, is_image, stem
from dispr_cli.inputs.plan import Plan, plan_cells, read_cell
from dispr_cli.inputs.prediction_values import grey_kinds, looked_at, occupancy
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.inputs.truth import read_truth
from dispr_cli.morphology.shape_ref import (
    MICROMETRES,
    VOXELS,
    ShapeRef,
    ShapeSource,
    digest_of,
    file_stamp,
)
from dispr_cli.morphology.store_source import open_store_source
from dispr_cli.morphology.table import PREDICTED, TRUTH
from dispr_cli.morphology.volume_sizes import VolumeSize, sizes_of_volumes
from dispr_cli.study.networks import NetworkRecord
from dispr_cli.volumes.attributes import may_be_store

FILES_IN_A_UNIT = 32
"""Shapes of a folder that are measured and saved together."""

_SHAPE = (GRID, GRID, GRID)

_Any = TypeVar("_Any")


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
    sizes
        Of the voxels of each.
    grey
        Kinds of number in which predictions hold occupancies up to 255; None of truths.
    """

    folder: Path
    files: tuple[tuple[str, Path], ...]
    kind: str
    network: str
    networks: Mapping[str, NetworkRecord]
    plan: Plan | None
    inputs: InputSettings
    sizes: tuple[VolumeSize, ...]
    grey: frozenset[np.dtype] | None = None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.absolute().name

    @property
    def num_units(self) -> int:
        """Files in portions of 32."""
        return -(-len(self.files) // FILES_IN_A_UNIT)

    @property
    def num_shapes(self) -> int:
        """One for each file."""
        return len(self.files)

    @property
    def num_cells(self) -> int:
        """Names of the files; one that two files of a portion share counts once."""
        return sum(len({cell for cell, _ in self._portion(unit)}) for unit in range(self.num_units))

    @property
    def has_images(self) -> bool:
        """Whether image and mask lie beside the volumes."""
        return self.plan is not None

    @property
    def unit_of_length(self) -> str:
        """Micrometres where the voxel sizes are known."""
        return MICROMETRES if any(size.voxel_um is not None for size in self.sizes) else VOXELS

    def fingerprint(self) -> str:
        """Digest of names, sizes and times of the files, and of the settings."""
        facts = [(cell, str(path), file_stamp(path)) for cell, path in self.files]
        refs = [] if self.plan is None else self.plan.cells
        facts += [
            (ref.name, str(path), file_stamp(path)) for ref in refs for path in (ref.image, ref.mask) if path
        ]
        grey = None if self.grey is None else sorted(map(str, self.grey))
        return digest_of(facts, dataclasses.asdict(self.inputs), self.kind, self.network, self.sizes, grey)

    def unit(self, index: int) -> Sequence[ShapeRef]:
        """List the shapes of one portion."""
        cells = {} if self.plan is None else {ref.name: ref for ref in self.plan.cells}
        return [
            ShapeRef(
                cell,
                0,
                self.kind,
                self.network,
                partial(_read, path, cell, size.problem, self.grey),
                size.voxel_um,
                partial(read_cell, cells[cell], self.inputs) if cell in cells else None,
                size.pixel_um,
            )
            for (cell, path), size in zip(self._portion(index), _part(self.sizes, index), strict=True)
        ]

    def _portion(self, unit: int) -> Sequence[tuple[str, Path]]:
        return _part(self.files, unit)


def _part(of_all: Sequence[_Any], unit: int) -> Sequence[_Any]:
    return of_all[unit * FILES_IN_A_UNIT : (unit + 1) * FILES_IN_A_UNIT]


def _read(path: Path, cell: str, problem: str | None, grey: frozenset[np.dtype] | None) -> NDArray[np.uint8]:
    if problem is not None:
        raise CellError(problem)
    if grey is None:
        return read_truth(path)
    volume = occupancy(read_volume(path, _SHAPE), path, cell, grey)
    if volume.max() < FOREGROUND:
        raise CellError(f"{path}: nothing of the prediction reaches half, so there is no shape to measure.")
    return volume


def _grey_kinds(files: Sequence[tuple[str, Path]]) -> frozenset[np.dtype]:
    """Decide for all predictions what their values mean, by some of them, as an evaluation does."""

    def volumes() -> Iterator[NDArray]:
        for place in looked_at(len(files)):
            with suppress(DisprError):  # told when it is measured
                yield read_volume(files[place][1], _SHAPE)

    return grey_kinds(volumes())


def find_shapes(
    source: Path,
    inputs: InputSettings | None = None,
    *,
    voxel_size_um: float | None = None,
    images: Path | None = None,
    masks: Path | None = None,
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
        How the cells of a folder are read; the defaults if None. A store knows how its cells were read.
    voxel_size_um
        Side of a voxel of all shapes in micrometres, where the user knows better than the files; so does
        the pixel size of `inputs`. Else each volume of a folder has the size that its file gives, or that of
        the grid of its cell.
    images
        Folder with the cells' images and masks, for a store.
    masks
        Where the masks are, if they are not beside the images.
    facts
        Held-out cells by hash of the weights, for a store.
    predicted
        The volumes of a folder are predictions of another program.
    never_seen
        The user says that no network behind the shapes was trained on any of these cells.

    Raises
    ------
    DisprError
        If there is nothing to measure, or `images` are not those that a store was made from.
    """
    if may_be_store(source):
        return open_store_source(source, images, masks, voxel_size_um, facts or {}, never_seen)
    inputs = inputs or InputSettings()
    if not source.is_dir():
        raise InputError(f"{source}: is no folder; expected a store, a folder with obj/, or one of volumes.")
    folder = next((source / name for name in TRUTH_FOLDERS if (source / name).is_dir()), source)
    with_images = images or (source if any((source / name).is_dir() for name in IMAGE_FOLDERS) else None)
    plan = None if with_images is None else plan_cells(with_images, inputs, masks=masks)
    files = _volumes_in(folder) if plan is None or predicted else _truths_of(plan)
    network = f"volumes of {source.absolute().name}" if predicted else ""
    said = NetworkRecord(None, never_seen, "said by the user" if never_seen else "")
    records = {network: said} if predicted else {}
    sizes = sizes_of_volumes(files, plan, voxel_size_um or inputs.pixel_size_um)
    kind = PREDICTED if predicted else TRUTH
    grey = _grey_kinds(files) if predicted else None
    return FolderSource(source, files, kind, network, records, plan, inputs, sizes, grey)


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
