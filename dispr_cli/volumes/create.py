"""A store comes into being whole, or an existing one is continued if it is the same run's."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from dispr_cli.durable import explained, partial_path, remove_partial_files
from dispr_cli.errors import StoreError
from dispr_cli.volumes.array import create_array
from dispr_cli.volumes.attributes import StoreAttributes, is_dispr_store, json_dict, read_attributes
from dispr_cli.volumes.differences import cell_differences, setting_differences
from dispr_cli.volumes.layout import ROWS, ShardGrid, cells_per_shard
from dispr_cli.volumes.names import Names, digest, mend_names, write_names
from dispr_cli.volumes.store import VolumeStore, open_store

_MOST_DIFFERENCES = 12


def create_or_resume(
    path: Path,
    *,
    num_cells: int,
    num_samples: int,
    voxel_size_um: float | None,
    configuration: dict[str, Any],
    cells: Collection[str],
    provenance: dict[str, Any] | None = None,
    shard_cells: int | None = None,
    overwrite: bool = False,
) -> VolumeStore:
    """Create a store, or open the one that an earlier run with the same settings left unfinished.

    Several processes may do so at once; one of them creates, the others continue.

    Parameters
    ----------
    path
        Folder of the store; missing parents are made.
    num_cells, num_samples
        Length of the array's first two axes.
    voxel_size_um
        Side of a voxel in micrometres; None if unknown.
    configuration
        Everything that decides the results; it must be equal to continue a store.
    cells
        The unique names of the cells, in the order of the store.
    provenance
        What else is worth keeping, such as version and device; not compared.
    shard_cells
        Cells per shard of a new store; by default so many that a shard takes about 40 MiB in memory.
    overwrite
        Remove a store that is there and start anew. Nothing but a store of this program is removed.

    Raises
    ------
    StoreError
        If `path` is a file, a foreign folder, a store with other settings or cells, or not writable.
    ValueError
        If there is nothing to hold, or `cells` are not `num_cells` unique names.
    """
    if num_cells < 1 or num_samples < 1:
        raise ValueError(f"a store of {num_cells} cells with {num_samples} samples has nothing to hold")
    path = path.resolve() if path.is_symlink() else path
    attributes = StoreAttributes(
        grid=ShardGrid(num_cells, num_samples, shard_cells or cells_per_shard(num_samples)),
        voxel_size_um=voxel_size_um,
        cells_sha256="",
        configuration=json_dict(configuration),
        provenance=json_dict(provenance or {}),
    )
    if not _is_free(path):
        if not overwrite:
            return _resume(path, attributes, cells)
        _remove(path)
    return _create(path, attributes, cells)


def _is_free(path: Path) -> bool:
    """Whether a store can be created at `path`; what stands there otherwise must be a store of ours."""
    with explained(path, "look at the output"):
        if not path.exists() and not path.is_symlink():
            return True
        if not path.is_dir():
            raise StoreError(f"{path} is a file: the output must be a folder, such as out.zarr.")
        if not any(path.iterdir()):
            return True
    if not is_dispr_store(path):
        raise StoreError(
            f"{path} holds other things than a store made by dispr, which are never overwritten: "
            "choose another output folder."
        )
    return False


def _create(path: Path, attributes: StoreAttributes, cells: Collection[str]) -> VolumeStore:
    """Build the empty store under another name and give it its own in one step."""
    partial = partial_path(path)
    try:
        with explained(path, "create the store"):
            remove_partial_files(path.parent, path.name)
            (partial / ROWS).mkdir(parents=True)
            cells_sha256 = write_names(partial, cells, attributes.grid)
            full = replace(attributes, cells_sha256=cells_sha256)
            create_array(partial, full.grid, full.of_group(path.stem))
            if not _took_name(partial, path):
                return _resume(path, attributes, cells)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return open_store(path)


def _took_name(partial: Path, path: Path) -> bool:
    """Rename the finished folder; False if another process was faster."""
    try:
        with contextlib.suppress(FileNotFoundError):
            path.rmdir()
        partial.rename(path)
    except OSError:
        if is_dispr_store(path):
            return False
        raise
    return True


def _resume(path: Path, wanted: StoreAttributes, cells: Collection[str]) -> VolumeStore:
    stored = read_attributes(path)
    found = [*setting_differences(_compared(stored), _compared(wanted))]
    if stored.cells_sha256 != digest(cells):
        names = Names(path, stored.grid)
        if not found and set(names) < set(cells):
            raise StoreError(
                f"{path} holds {stored.grid.num_cells} of the {len(cells)} cells of this source, and a store "
                f"does not grow ({cell_differences(names, cells)}). Keep it, and reconstruct the new cells "
                "into a store of their own, from a folder or a manifest (a CSV with columns image and mask) "
                "of their images; or choose another output for all cells."
            )
        found.append(cell_differences(names, cells))
    if found:
        shown = "; ".join(found[:_MOST_DIFFERENCES])
        more = f"; and {len(found) - _MOST_DIFFERENCES} more" if len(found) > _MOST_DIFFERENCES else ""
        raise StoreError(
            f"{path} was made by another run: {shown}{more}. Run with the same settings and cells to "
            "continue it, choose another output, or start anew: with --overwrite, or where the run is in "
            "parts by removing the store once."
        )
    mend_names(path, cells, stored.grid, stored.cells_sha256)
    return open_store(path)


def _compared(attributes: StoreAttributes) -> dict[str, Any]:
    return {
        **attributes.configuration,
        "num_samples": attributes.grid.num_samples,
        "voxel_size_um": attributes.voxel_size_um,
    }


def _remove(path: Path) -> None:
    """Remove a store; its name is free at once, however long the removal takes."""
    with explained(path, "remove the old store"):
        old = partial_path(path)
        path.rename(old)
        shutil.rmtree(old)
