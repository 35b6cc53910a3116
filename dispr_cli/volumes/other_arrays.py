"""Zarr arrays that other programs wrote: volumes of cells on any grid, with a list of the cells' names."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from dispr_cli.errors import StoreError
from dispr_cli.volumes.layout import TABLE
from dispr_cli.volumes.table import read_table

NAMES = "names.txt"
_METADATA = ("zarr.json", ".zgroup", ".zarray")
_MICROMETRES = ("micrometer", "micrometre", "um", "µm")


@dataclass(frozen=True)
class OtherArray:
    """An open array.

    Attributes
    ----------
    path
        Folder of the array, or of the group that holds it.
    names
        Of the cells, along the first axis.
    voxel_size_um
        Sides of a voxel (z, y, x) in micrometres; None if the metadata do not say.
    array
        (cells, samples, z, y, x) or (cells, z, y, x).
    """

    path: Path
    names: tuple[str, ...]
    voxel_size_um: tuple[float, float, float] | None
    array: Any

    @property
    def num_samples(self) -> int:
        """Samples of each cell."""
        return int(self.array.shape[1]) if self.array.ndim == 5 else 1

    def read(self, index: int) -> NDArray:
        """Read the samples of one cell, (S, Z, Y, X), in the array's own kind of number.

        Raises
        ------
        StoreError
            If they are damaged.
        """
        try:
            volumes = np.asarray(self.array[index])
        except Exception as error:  # zarr and its codecs report damage through many kinds of error
            raise StoreError(f"{self.path}: cell {self.names[index]!r} cannot be read ({error}).") from error
        return volumes if volumes.ndim == 4 else volumes[None]


def is_zarr(folder: Path) -> bool:
    """Whether a folder is a Zarr array or group, of version 2 or 3."""
    return any((folder / name).is_file() for name in _METADATA)


def open_other_array(path: Path) -> OtherArray:
    """Open an array of volumes that another program wrote.

    Parameters
    ----------
    path
        A Zarr array, or an OME-Zarr image (the first of its levels is read), with axes (cell, sample, z, y,
        x) or (cell, z, y, x). Names of the cells stand in it in ``cells.csv`` (column ``name``), in
        ``names.txt``, one a line, or in the attribute ``names``.

    Raises
    ------
    StoreError
        If it cannot be read, has other axes, or there is not one name for each cell.
    """
    try:
        node = zarr.open(path, mode="r")
        attributes = dict(node.attrs)
        image = _image(attributes)
        levels = image.get("datasets") or [{"path": "0"}]
        array: Any = node[str(levels[0]["path"])] if isinstance(node, zarr.Group) else node
        found, kind = tuple(array.shape), array.dtype.kind
    except Exception as error:  # zarr reports damaged metadata through many kinds of error
        raise StoreError(f"{path}: cannot be read as a Zarr array of volumes ({error}).") from error
    if len(found) not in (4, 5) or kind not in "biuf":
        raise StoreError(
            f"{path}: the array has shape {found} of {array.dtype}; expected numbers along the axes (cell, "
            "sample, z, y, x) or (cell, z, y, x)."
        )
    return OtherArray(path, _names(path, attributes, found[0]), _sides(image, levels[0]), array)


def _image(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the first image of OME-Zarr's metadata: of version 0.5, else of 0.4; empty if there is none."""
    ome = attributes.get("ome", attributes)
    images = ome.get("multiscales") if isinstance(ome, dict) else None
    return dict(images[0]) if images else {}


def _names(path: Path, attributes: dict[str, Any], count: int) -> tuple[str, ...]:
    if (path / TABLE).is_file():
        names, where = tuple(row["name"] for row in read_table(path / TABLE)), TABLE
    elif (path / NAMES).is_file():
        try:
            text = (path / NAMES).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"{path / NAMES}: the names of cells cannot be read ({error}).") from error
        names, where = tuple(line.strip() for line in text.splitlines() if line.strip()), NAMES
    elif isinstance(attributes.get("names"), list):
        names, where = tuple(map(str, attributes["names"])), "its attribute 'names'"
    else:
        raise StoreError(
            f"{path}: says nowhere which cells its volumes are of; put a file {NAMES} into it, with one name "
            f"a line in the order of the array, or {TABLE} with a column 'name'."
        )
    if len(names) != count:
        raise StoreError(f"{path}: holds volumes of {count} cells, and {where} has {len(names)} names.")
    twice = [name for name, number in Counter(names).items() if number > 1]
    if twice:
        raise StoreError(f"{path}: {where} names cell {twice[0]!r} twice; expected one name for each cell.")
    return names


def _sides(image: dict[str, Any], level: dict[str, Any]) -> tuple[float, float, float] | None:
    """Return the sides of a voxel where OME-Zarr's metadata give them in micrometres."""
    axes = image.get("axes") or []
    units = [axis.get("unit") for axis in axes[-3:] if isinstance(axis, dict)]
    if len(units) < 3 or any(unit not in _MICROMETRES for unit in units):
        return None
    transformations = level.get("coordinateTransformations") or []
    scale = next((step["scale"] for step in transformations if step.get("type") == "scale"), None)
    if scale is None or not all(0 < float(side) < float("inf") for side in scale[-3:]):
        return None
    z, y, x = map(float, scale[-3:])
    return z, y, x
