"""The zarr array of a store of ours, its metadata and reading; those of others are in ``other_arrays``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import MemoryStore

from dispr_cli.config import GRID
from dispr_cli.errors import StoreError
from dispr_cli.volumes.layout import ARRAY, AXES, ShardGrid
from dispr_cli.volumes.shard_bytes import COMPRESSOR, LEVEL


def create_array(store: Path, grid: ShardGrid, attributes: dict[str, Any]) -> None:
    """Write the metadata of the root group and of the empty array.

    Raises
    ------
    OSError
        As the operating system gives it.
    """
    zarr.create_group(store, attributes=attributes)
    _create(store / ARRAY, grid)


def open_array(store: Path, grid: ShardGrid) -> Any:
    """Open the array for reading and check that it is laid out as the store's attributes say.

    Raises
    ------
    StoreError
        If the array is missing, damaged, or laid out otherwise.
    """
    try:
        array = zarr.open_array(store / ARRAY, mode="r", zarr_format=3)
        found = (array.shape, array.chunks, array.shards, array.dtype)
    except Exception as error:  # zarr reports damaged metadata through many kinds of error
        raise StoreError(
            f"{store / ARRAY}: the array of volumes cannot be opened ({type(error).__name__}: {error}). "
            "Reconstruct into a new store, or anew with --overwrite."
        ) from error
    expected = (
        (grid.num_cells, grid.num_samples, GRID, GRID, GRID),
        (1, 1, GRID, GRID, GRID),
        (grid.shard_cells, grid.num_samples, GRID, GRID, GRID),
        np.dtype(np.uint8),
    )
    if found != expected:
        raise StoreError(
            f"{store / ARRAY}: the array has (shape, chunk, shard, type) {found} instead of {expected}."
        )
    return array


def metadata_differences(array: Any, grid: ShardGrid) -> list[str]:
    """Name what stands otherwise in the array's metadata than this program writes it."""
    fresh = _create(MemoryStore({}), grid).metadata.to_dict()
    found = array.metadata.to_dict()
    return sorted(key for key in fresh.keys() | found.keys() if fresh.get(key) != found.get(key))


def read_volumes(array: Any, cells: slice, sample: int | None, origin: Path) -> NDArray[np.uint8]:
    """Read the volumes of neighbouring cells, (k, S, 64, 64, 64), or (k, 64, 64, 64) of one sample.

    Raises
    ------
    StoreError
        If a checksum does not match or the bytes cannot be decoded.
    """
    try:
        chosen = array[cells] if sample is None else array[cells, sample]
    except Exception as error:  # zarr and its codecs report damage through many kinds of error
        raise StoreError(
            f"{origin}: the shard is damaged ({error}). Delete this file and give the run's "
            "dispr reconstruct command again: only its cells are computed anew."
        ) from error
    return cast("NDArray[np.uint8]", chosen)


def _create(store: Path | MemoryStore, grid: ShardGrid) -> Any:
    return zarr.create_array(
        store,
        shape=(grid.num_cells, grid.num_samples, GRID, GRID, GRID),
        chunks=(1, 1, GRID, GRID, GRID),
        shards=(grid.shard_cells, grid.num_samples, GRID, GRID, GRID),
        dtype="uint8",
        fill_value=0,
        compressors=[
            BloscCodec(cname=COMPRESSOR, clevel=LEVEL, shuffle="bitshuffle", typesize=1),
            Crc32cCodec(),
        ],
        dimension_names=AXES,
    )
