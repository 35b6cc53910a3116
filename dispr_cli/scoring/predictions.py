"""Volumes that another program predicted, in a folder or a Zarr array, compared like a store of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import FOREGROUND, GRID
from dispr_cli.errors import CellError, DisprError
from dispr_cli.inputs.prediction_values import grey_kinds, looked_at, occupancy
from dispr_cli.inputs.truth import TruthVolume, read_voxels
from dispr_cli.inputs.truth_folder import find_truths, samples_by_cell
from dispr_cli.inputs.truth_grid import is_on_grid
from dispr_cli.scoring.truths import Truths, truth_on_grid
from dispr_cli.volumes.attributes import is_dispr_store
from dispr_cli.volumes.layout import ROWS
from dispr_cli.volumes.other_arrays import OtherArray, is_zarr, open_other_array
from dispr_cli.volumes.rows import CellRow
from dispr_cli.volumes.store import VolumeStore, open_store

_PLACE = ("source", "label", "bounding_box", "source_shape", "scaled", "voxel_size_px")
Sides = tuple[float, float, float]


class Reconstructions(Protocol):
    """What an evaluation asks of a method's volumes; a store of ours answers it, and so do predictions."""

    @property
    def path(self) -> Path:
        """Where the volumes are."""

    @property
    def configuration(self) -> dict[str, Any]:
        """How they were made."""

    @property
    def voxel_size_um(self) -> float | None:
        """Side of a voxel of the grid in micrometres; None if unknown."""

    @property
    def num_samples(self) -> int:
        """Samples of a cell, the most where they differ."""

    @property
    def cells(self) -> Iterable[CellRow]:
        """A row for each cell, in the order of :meth:`read`."""

    def read(self, cell: int) -> NDArray[np.uint8]:
        """Read the samples of a cell, (S, 64, 64, 64); the surface lies at 127.5."""


@dataclass(frozen=True)
class Predictions:
    """Predictions of another program, on the grid of the reconstructions that they are compared with.

    Attributes
    ----------
    path
        Folder or array.
    names
        Of the cells.
    volumes
        Reads the samples of a cell, (S, Z, Y, X) in any kind of number, and the sides of their voxels.
    num_samples
        The most samples of a cell.
    truths
        Ground truths; a prediction on the grid of its truth has the truth's voxel size.
    grids
        Rows of a store of ours by cell, whose grid the predictions are laid on where they have another.
    voxel_size_um
        Side of the voxels of that grid.
    configuration
        What is known of how they were made: nothing, but how the store beside them read its cells.
    grey
        Kinds of number in which they are occupancies up to 255, however faint one is.
    """

    path: Path
    names: tuple[str, ...]
    volumes: Callable[[int], tuple[NDArray, Sides | None]]
    num_samples: int
    truths: Truths
    grids: Mapping[str, CellRow] = field(default_factory=dict)
    voxel_size_um: float | None = None
    configuration: dict[str, Any] = field(default_factory=dict)
    grey: frozenset[np.dtype] = frozenset()

    @property
    def cells(self) -> list[CellRow]:
        """A row for each cell, with its place in the image where a store beside it knows that."""
        return [self._row(name) for name in self.names]

    def _row(self, name: str) -> CellRow:
        known = self.grids.get(name)
        if known is None:
            return CellRow(name, voxel_size_um=self.voxel_size_um)
        place = {column: getattr(known, column) for column in _PLACE}
        return CellRow(name, **place, voxel_size_um=known.voxel_size_um or self.voxel_size_um)

    def read(self, cell: int) -> NDArray[np.uint8]:
        """Read the samples of a cell, (S, 64, 64, 64); an empty one stays empty.

        Raises
        ------
        DisprError
            If they cannot be read, hold what is no occupancy, or cannot be laid on the grid.
        """
        volumes, sides = self.volumes(cell)
        row = self._row(self.names[cell])
        return np.stack(
            [
                self._on_grid(occupancy(volume, self.path, row.name, self.grey), sides, row)
                for volume in volumes
            ]
        )

    def _on_grid(self, volume: NDArray[np.uint8], sides: Sides | None, row: CellRow) -> NDArray[np.uint8]:
        prediction = TruthVolume(volume, sides, of_store=True)
        if is_on_grid(prediction, row.voxel_size_um):
            return volume
        if not (volume >= FOREGROUND).any():
            return np.zeros((GRID,) * 3, np.uint8)
        words = " x ".join(map(str, volume.shape))
        if row.name not in self.grids:
            raise CellError(
                f"{self.path}: the prediction of cell {row.name!r} has {words} voxels, expected {GRID} x "
                f"{GRID} x {GRID}; others can be compared beside a store of ours of the same cells."
            )
        if sides is None:
            truth = self.truths.read(row.name)
            sides = truth.voxel_size_um if truth.occupancy.shape == volume.shape else None
        try:
            prediction = replace(prediction, voxel_size_um=sides, of_store=False)
            return truth_on_grid(prediction, row, row.voxel_size_um, self.configuration).occupancy
        except CellError as error:
            told = str(error).replace("the ground truth", "the prediction")
            raise CellError(f"{self.path}: cell {row.name!r}: {told}") from error


def open_reconstructions(
    paths: Sequence[Path], open_truths: Callable[[], Truths]
) -> tuple[list[Reconstructions], Truths]:
    """Open stores of ours and predictions of other programs, and the truths they are compared with.

    Parameters
    ----------
    paths
        Each a store, a folder of volumes named like the cells, or a Zarr array with names.
    open_truths
        Opens the truths, after the stores.

    Returns
    -------
    list
        In the order of the paths. The grid of all predictions is that of the first store of ours, if there
        is one.
    Truths
        The truths.

    Raises
    ------
    DisprError
        If something cannot be read.
    """
    stores = {path: open_store(path) for path in paths if not _is_predicted(path)}
    truths = open_truths()
    first = next(iter(stores.values()), None)
    cells = [row.name for store in stores.values() for row in store.cells]
    names = list(dict.fromkeys(cells)) or truths.names
    return [stores.get(path) or open_predictions(path, names, truths, first) for path in paths], truths


def _is_predicted(path: Path) -> bool:
    ours = is_dispr_store(path) or (path / ROWS).is_dir()  # a damaged store of ours is none of theirs
    return path.is_dir() and not ours and (is_zarr(path) or path.suffix != ".zarr")


def open_predictions(
    path: Path, names: Sequence[str], truths: Truths, beside: VolumeStore | None = None
) -> Predictions:
    """Open the predictions of another program.

    Parameters
    ----------
    path
        A folder with ``cell.tif``, or ``cell_0.tif``, ``cell_1.tif`` and so on (``.npy`` likewise, also of
        four axes), or a Zarr array, see :func:`dispr_cli.volumes.other_arrays.open_other_array`.
    names
        Names that are known of cells.
    truths
        Ground truths.
    beside
        A store whose grid the predictions are laid on.

    Raises
    ------
    DisprError
        If there is no volume, or it is not clear of which cell one is.
    """
    options: dict[str, Any] = {"truths": truths}
    if beside is not None:
        rows = list(beside.cells)
        known = [row.voxel_size_um for row in rows if row.voxel_size_um is not None]
        size = beside.voxel_size_um or (median(known) if known else None)
        inputs = {"inputs": beside.configuration["inputs"]} if "inputs" in beside.configuration else {}
        grids = {row.name: row for row in rows}
        options |= {"grids": grids, "voxel_size_um": size, "configuration": inputs}
    if is_zarr(path):
        array = open_other_array(path)
        return _judged(Predictions(path, array.names, _reading(array), array.num_samples, **options))
    files = samples_by_cell(find_truths(path, "prediction"), names)
    lists = list(files.values())
    most = max(map(_count_samples, lists))
    return _judged(Predictions(path, tuple(files), lambda index: _read_files(lists[index]), most, **options))


def _judged(predictions: Predictions) -> Predictions:
    """Decide for the whole method what its values mean, by cells from all over it."""

    def volumes() -> Iterator[NDArray]:
        for cell in looked_at(len(predictions.names)):
            with suppress(DisprError):  # told when its cell is compared
                yield from predictions.volumes(cell)[0]

    return replace(predictions, grey=grey_kinds(volumes()))


def _reading(array: OtherArray) -> Callable[[int], tuple[NDArray, Sides | None]]:
    return lambda index: (array.read(index), array.voxel_size_um)


def _read_files(paths: Sequence[Path]) -> tuple[NDArray, Sides | None]:
    read = [read_voxels(path, 4) for path in paths]
    volumes = [voxels if voxels.ndim == 4 else voxels[None] for voxels, _ in read]
    kinds = {(voxels.shape[1:], sides) for voxels, (_, sides) in zip(volumes, read, strict=True)}
    if len(kinds) > 1:
        raise CellError(f"{paths[0]}: the samples of its cell have different shapes or voxel sizes.")
    return np.concatenate(volumes), read[0][1]


def _count_samples(paths: Sequence[Path]) -> int:
    """Count without reading more than a header; what cannot be read is told when its cell comes."""
    if len(paths) > 1 or paths[0].suffix.lower() != ".npy":
        return len(paths)
    try:
        array = np.load(paths[0], mmap_mode="r", allow_pickle=False)
        return int(array.shape[0]) if array.ndim == 4 else 1
    except Exception:
        return 1
