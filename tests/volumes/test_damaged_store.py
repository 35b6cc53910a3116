"""Damage to a store is named, and never read as an empty shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dispr_cli.errors import StoreError
from dispr_cli.volumes.attributes import may_be_store
from dispr_cli.volumes.layout import row_file, shard_file
from dispr_cli.volumes.seal import SEAL, seal
from dispr_cli.volumes.store import VolumeStore, open_store
from dispr_cli.volumes.verify import verify_store

Fill = Callable[..., None]


def test_flipped_bit_is_found_by_the_checksum(full_store: VolumeStore) -> None:
    path = shard_file(full_store.path, 0)
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"0/c/0/0/0/0/0: the shard is damaged .*Delete this file"):
        full_store.read_shard(0)
    full_store.read_shard(1)


def test_truncated_or_missing_shard_is_pending_again(full_store: VolumeStore, fill: Fill) -> None:
    shard_file(full_store.path, 0).write_bytes(b"torn")
    shard_file(full_store.path, 2).unlink()
    store = open_store(full_store.path)
    assert store.pending_shards() == [0, 2]
    with pytest.raises(StoreError, match="pending"):
        store.read(0)
    fill(store)
    assert store.pending_shards() == []
    assert store.read(0).any()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"rows":[{}],"shard_bytes":1}', b"\xff\xfe", b"[" * 9999]
)
def test_damaged_row_file_makes_its_shard_pending(full_store: VolumeStore, content: bytes) -> None:
    row_file(full_store.path, 1).write_bytes(content)
    assert open_store(full_store.path).pending_shards() == [1]


@pytest.mark.parametrize(
    "entry",
    [
        {"bounding_box": [1, 2, 3]},
        {"bounding_box": [1, 2, 3, 4.5]},
        {"bounding_box": "1234"},
        {"voxel_size_um": "3"},
        {"voxel_size_um": 0},
        {"voxel_size_um": 1e200},
        {"volume_voxels_mean": True},
        {"volume_voxels_mean": 10**400},
        {"surface_voxels_low": [1]},
        {"unlike_training": {}},
        {"label": 1.5},
        {"touches_border": "no"},
        {"source": 3},
        {"extra": {"x": [1]}},
        {"extra": []},
        {"status": "dome"},
    ],
)
def test_sealed_rows_that_no_table_can_hold_do_not_count(
    full_store: VolumeStore, entry: dict[str, Any]
) -> None:
    file = row_file(full_store.path, 1)
    content = json.loads(file.read_bytes())
    content["rows"][0] |= entry
    file.write_text(json.dumps(seal({key: value for key, value in content.items() if key != SEAL})))
    store = open_store(full_store.path)
    assert store.pending_shards() == [1]
    assert [damage.path for damage in verify_store(full_store.path).damages][:1] == [file]


def test_row_file_of_another_shard_does_not_count(full_store: VolumeStore) -> None:
    row_file(full_store.path, 1).write_bytes(row_file(full_store.path, 0).read_bytes())
    assert full_store.pending_shards() == [1]


def test_missing_path_and_file_are_not_stores(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        open_store(tmp_path / "nowhere.zarr")
    (tmp_path / "file.zarr").write_text("x")
    with pytest.raises(StoreError, match="is a file"):
        open_store(tmp_path / "file.zarr")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no zarr.json"),
        ("", "is not valid JSON"),
        ("{", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("[1]", "no attributes 'dispr'"),
        ('{"attributes": 3}', "no attributes 'dispr'"),
        ('{"attributes": {"ome": {}}}', "no attributes 'dispr'"),
        ('{"attributes": {"dispr": {"format": 1}}}', "lack or garble 'num_cells'"),
        ('{"attributes": {"dispr": {"format": 99}}}', "newer version"),
    ],
)
def test_folder_that_is_no_store(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "zarr.json").write_text(content)
    with pytest.raises(StoreError, match=message):
        open_store(tmp_path)
    assert may_be_store(tmp_path) is (content is not None)


def test_a_name_is_enough_to_be_opened_as_a_store(tmp_path: Path) -> None:
    assert may_be_store(tmp_path / "nowhere.zarr")
    assert not may_be_store(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_cells", -1),
        ("num_cells", True),
        ("num_samples", "5"),
        ("shard_cells", 0),
        ("voxel_size_um", -0.1),
        ("voxel_size_um", [1]),
        ("voxel_size_um", True),
        ("configuration", []),
        ("cells_sha256", None),
    ],
)
def test_garbled_attribute_is_named(full_store: VolumeStore, key: str, value: Any) -> None:
    path = full_store.path / "zarr.json"
    content = json.loads(path.read_text())
    content["attributes"]["dispr"][key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(StoreError, match="lack or garble"):
        open_store(full_store.path)


@pytest.mark.parametrize("content", ["", "{}", '{"zarr_format": 3, "node_type": "array", "shape": [1e99]}'])
def test_damaged_array_metadata(full_store: VolumeStore, content: str) -> None:
    (full_store.path / "0" / "zarr.json").write_text(content)
    with pytest.raises(StoreError, match="the array of volumes cannot be opened"):
        open_store(full_store.path).read(0)


def test_array_that_disagrees_with_the_attributes(full_store: VolumeStore) -> None:
    path = full_store.path / "0" / "zarr.json"
    path.write_text(path.read_text().replace("uint8", "int8"))
    with pytest.raises(StoreError, match=r"instead of .*dtype\('uint8'\)"):
        open_store(full_store.path).read(0)


def test_a_name_that_is_nested_too_deep(full_store: VolumeStore) -> None:
    names = full_store.path / "dispr_rows" / "names.jsonl"
    rest = names.read_bytes().split(b"\n", 1)[1]
    names.write_bytes(b"[" * 100_000 + b"\n" + rest)
    with pytest.raises(StoreError, match="list of cells of this store is missing or damaged"):
        [row.name for row in open_store(full_store.path).cells]


def test_damaged_names(full_store: VolumeStore) -> None:
    (full_store.path / "dispr_rows" / "names.jsonl").write_text('"x"\n')
    with pytest.raises(StoreError, match="list of cells of this store is missing or damaged"):
        _ = open_store(full_store.path).cells[5]
    (full_store.path / "dispr_rows" / "names.jsonl").unlink()
    with pytest.raises(StoreError, match="list of cells of this store is missing or damaged"):
        open_store(full_store.path).cells.index("cell 1.tif")


def test_row_file_with_a_changed_bit_does_not_count(full_store: VolumeStore) -> None:
    rows = row_file(full_store.path, 1)
    rows.write_bytes(rows.read_bytes().replace(b"a/b.tif", b"a/c.tif", 1))
    assert open_store(full_store.path).pending_shards() == [1]
