"""The attributes ``dispr`` of a store's root group: what it holds and how it was made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispr_cli.errors import StoreError
from dispr_cli.volumes.layout import FORMAT, ShardGrid, ome_attributes
from dispr_cli.volumes.seal import is_intact, is_sealed, seal

_LARGEST_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class StoreAttributes:
    """What stands in the attributes.

    Attributes
    ----------
    grid
        Number of cells and samples, and the division into shards.
    voxel_size_um
        Side of a voxel in micrometres; None if unknown.
    cells_sha256
        Digest of the list of names.
    configuration
        Settings that another run must share to continue the store.
    provenance
        Facts about the run that made it.
    """

    grid: ShardGrid
    voxel_size_um: float | None
    cells_sha256: str
    configuration: dict[str, Any]
    provenance: dict[str, Any]

    def of_group(self, name: str) -> dict[str, Any]:
        """Return the attributes of the root group: OME's and ours."""
        ours = {
            "format": FORMAT,
            "num_cells": self.grid.num_cells,
            "num_samples": self.grid.num_samples,
            "shard_cells": self.grid.shard_cells,
            "voxel_size_um": self.voxel_size_um,
            "cells_sha256": self.cells_sha256,
            "configuration": self.configuration,
            "provenance": self.provenance,
        }
        return {"ome": ome_attributes(name, self.grid.num_samples, self.voxel_size_um), "dispr": seal(ours)}


def read_attributes(store: Path) -> StoreAttributes:
    """Read the attributes of a store.

    Raises
    ------
    StoreError
        If the folder is missing, is no store of this program, is damaged, or is from a newer version.
    """
    ours = _found(store)
    form = ours.get("format")
    if isinstance(form, int) and form > FORMAT:
        raise StoreError(f"{store} was written by a newer version of dispr (layout {form}); update dispr.")
    try:
        parsed = _parsed(ours)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{_file(store)} is damaged: its attributes 'dispr' lack or garble {error}."
        ) from error
    if is_sealed(ours) and not is_intact(ours):
        raise StoreError(
            f"{_file(store)} is damaged or was edited: its attributes 'dispr' do not match their checksum. "
            "Restore the file, or reconstruct into a new store."
        )
    return parsed


def is_dispr_store(folder: Path) -> bool:
    """Whether the folder is a store of this program, and so may be overwritten by it."""
    try:
        return bool(_found(folder))
    except StoreError:
        return False


def may_be_store(path: Path) -> bool:
    """Whether a path is to be opened as a store, by what it holds or its name: opening says what is wrong."""
    return _file(path).is_file() or path.suffix == ".zarr"


def json_dict(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings as they look after JSON: tuples become lists, paths and the like text."""
    plain: dict[str, Any] = json.loads(json.dumps(settings, default=str))
    return plain


def _found(store: Path) -> dict[str, Any]:
    if not store.is_dir():
        found = "is a file" if store.exists() else "does not exist"
        raise StoreError(f"{store} {found}: expected the folder of a store, such as out.zarr.")
    content = _document(store)
    ours = content.get("attributes", {}) if isinstance(content, dict) else {}
    ours = ours.get("dispr") if isinstance(ours, dict) else None
    if not isinstance(ours, dict) or not ours:
        raise StoreError(f"{store} is not a store made by dispr: its zarr.json has no attributes 'dispr'.")
    return ours


def _document(store: Path) -> Any:
    try:
        if _file(store).stat().st_size > _LARGEST_BYTES:
            raise StoreError(f"{_file(store)} is too large to be the metadata of a store.")
        return json.loads(_file(store).read_bytes())
    except FileNotFoundError as error:
        raise StoreError(f"{store} is not a store made by dispr: it has no zarr.json.") from error
    except OSError as error:
        raise StoreError(f"{_file(store)} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{_file(store)} is damaged: it is not valid JSON ({error}).") from error


def _file(store: Path) -> Path:
    return store / "zarr.json"


def _parsed(ours: dict[str, Any]) -> StoreAttributes:
    grid = ShardGrid(*(_whole(ours, key) for key in ("num_cells", "num_samples", "shard_cells")))
    size = ours["voxel_size_um"]
    if size is not None and (isinstance(size, bool) or not 0 < float(size) < float("inf")):
        raise ValueError("voxel_size_um")
    return StoreAttributes(
        grid=grid,
        voxel_size_um=None if size is None else float(size),
        cells_sha256=_typed(ours, "cells_sha256", str),
        configuration=_typed(ours, "configuration", dict),
        provenance=_typed(ours, "provenance", dict),
    )


def _whole(ours: dict[str, Any], key: str) -> int:
    value = ours[key]
    if type(value) is not int or not 0 < value < 2**40:
        raise ValueError(key)
    return value


def _typed(ours: dict[str, Any], key: str, kind: type) -> Any:
    if not isinstance(ours[key], kind):
        raise TypeError(key)
    return ours[key]
