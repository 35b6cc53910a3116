"""A shard put together chunk by chunk is what zarr itself would write, to zarr and to the reader."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from dispr_cli.volumes import array
from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.draft import ShardDraft
from dispr_cli.volumes.layout import ShardGrid, shard_file
from dispr_cli.volumes.rows import CellRow
from dispr_cli.volumes.shard_bytes import encode_chunk, join_chunks
from dispr_cli.volumes.store import open_store
from tests.volumes.conftest import cell_volumes

NAMES = ["a", "b", "c", "d", "e"]


def some_volumes(empty: set[tuple[int, int]]) -> NDArray[np.uint8]:
    volumes = np.stack([cell_volumes(index, 2) for index in range(5)])
    for place in empty:
        volumes[place] = 0
    return volumes


def chunks_of(content: bytes, count: int) -> list[bytes]:
    """Chunks by the index at the end of a shard's file (zarr v3, sharding codec)."""
    index = np.frombuffer(content[-4 - 16 * count : -4], "<u8").reshape(count, 2).astype(object)
    return [b"" if at == 2**64 - 1 else content[at : at + size] for at, size in index]


@pytest.mark.parametrize(
    "empty", [set(), {(0, 0)}, {(1, 1), (4, 0)}, {(c, s) for c in range(5) for s in range(2)}]
)
@pytest.mark.parametrize("shard_cells", [2, 5, 8])
def test_zarr_writes_the_same_chunks(tmp_path: Path, empty: set[tuple[int, int]], shard_cells: int) -> None:
    grid, volumes = ShardGrid(5, 2, shard_cells), some_volumes(empty)
    zarrs, ours = tmp_path / "zarr", tmp_path / "ours"
    for store in (zarrs, ours):
        zarr.create_group(store)
        array._create(store / "0", grid)
    zarr.open_array(LocalStore(zarrs / "0"), mode="r+")[...] = volumes
    for shard in range(grid.num_shards):
        cells = grid.cells_of(shard)
        chunks = [encode_chunk(volume) for cell in cells for volume in volumes[cell]]
        content, wanted = join_chunks(chunks, 2 * shard_cells), shard_file(zarrs, shard)
        assert bool(content) == wanted.exists()
        if content:
            assert len(content) == wanted.stat().st_size
            assert chunks_of(content, 2 * shard_cells) == chunks_of(wanted.read_bytes(), 2 * shard_cells)
            shard_file(ours, shard).parent.mkdir(parents=True)
            shard_file(ours, shard).write_bytes(content)
    assert np.array_equal(zarr.open_array(LocalStore(ours / "0"), mode="r")[...], volumes)


def test_a_draft_keeps_what_was_written_and_takes_the_rest(tmp_path: Path, settings: dict[str, Any]) -> None:
    store = create_or_resume(tmp_path / "out.zarr", **settings)
    draft = store.draft(0)
    draft.put(1, CellRow("cell 1.tif"), cell_volumes(1, 2))
    draft.put(2, CellRow("cell 2.tif", status="failed: torn"))
    store.write_draft(draft)
    assert [row.status for row in store.cells.of_shard(0)] == ["pending", "done", "failed: torn"]
    again = open_store(store.path).draft(0)
    assert again.rows == draft.rows
    again.put(0, CellRow("cell 0.tif"), cell_volumes(0, 2))
    store.write_draft(again)
    for index in range(2):
        assert np.array_equal(store.read(index), cell_volumes(index, 2))


def test_a_draft_refuses_what_is_not_its_own() -> None:
    draft = ShardDraft(0, ShardGrid(5, 2, 5), NAMES)
    with pytest.raises(ValueError, match="cannot be that of 'b'"):
        draft.put(0, CellRow("b"))
    with pytest.raises(ValueError, match="takes volumes"):
        draft.put(0, CellRow("a"), cell_volumes(0, 3))


def test_a_draft_takes_little_memory_however_many_cells_it_holds() -> None:
    def memory(count: int) -> int:
        names = [str(number) for number in range(count)]
        draft, samples = ShardDraft(0, ShardGrid(count, 2, count), names), cell_volumes(0, 2)
        tracemalloc.start()
        for place, name in enumerate(names):
            draft.put(place, CellRow(name), samples.copy())
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert memory(40) < memory(4) + 36 * 20_000
