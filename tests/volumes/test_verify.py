"""Whatever bit of a store changes, checking it names the file."""

from __future__ import annotations

import errno
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dispr_cli.errors import StoreError
from dispr_cli.volumes import names as names_module
from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.layout import row_file, shard_file
from dispr_cli.volumes.rows import CellRow, read_rows, write_rows
from dispr_cli.volumes.store import VolumeStore, open_store
from dispr_cli.volumes.verify import verify_store

Fill = Callable[..., None]


def damaged_files(path: Path) -> list[str]:
    return [str(damage.path.relative_to(path)) for damage in verify_store(path).damages]


def test_a_finished_store_is_intact(full_store: VolumeStore) -> None:
    seen: list[tuple[int, int]] = []
    result = verify_store(full_store.path, lambda done, total: seen.append((done, total)))
    assert (result.damages, result.notes) == ([], [])
    assert result.progress == full_store.progress()
    assert result.shards_checked == 3
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_pending_cells_are_no_damage(tmp_path: Path, settings: dict[str, Any], fill: Fill) -> None:
    store = create_or_resume(tmp_path / "out.zarr", **settings)
    assert verify_store(store.path).damages == []
    fill(store, 1)
    result = verify_store(store.path)
    assert result.damages == []
    assert result.shards_checked == 1
    store.finish()
    assert verify_store(store.path).damages == []


def test_failed_cells_are_no_damage(tmp_path: Path, settings: dict[str, Any]) -> None:
    store = create_or_resume(tmp_path / "out.zarr", **settings)
    rows = [CellRow(name, status="failed: why") for name in store.cells.names.of_shard(0)]
    store.write_shard(0, np.zeros(store.grid.volume_shape(0), np.uint8), rows)
    assert verify_store(store.path).damages == []


def test_every_kind_of_damage_is_named(full_store: VolumeStore) -> None:
    path = full_store.path
    assert verify_store(path).shards_checked == 3
    shard_file(path, 0).write_bytes(shard_file(path, 0).read_bytes()[:-7])
    row_file(path, 1).write_bytes(row_file(path, 1).read_bytes().replace(b'"done"', b'"dome"', 1))
    shard_file(path, 2).unlink()
    assert damaged_files(path)[:3] == ["0/c/0/0/0/0/0", "dispr_rows/000001.json", "0/c/2/0/0/0/0"]
    found = verify_store(path)
    assert (found.shards_checked, found.shards_damaged) == (0, 3)


def test_a_shard_of_equal_size_from_elsewhere_is_noticed(full_store: VolumeStore) -> None:
    rows = row_file(full_store.path, 0)
    content = json.loads(rows.read_bytes())
    names = full_store.cells.names.of_shard(0)
    found = read_rows(rows, names)
    assert found is not None
    # Rows that are sealed rightly but count other voxels than the shard holds.
    other = [*found.rows[1:], found.rows[0]]
    swapped = [
        CellRow(name, volume_voxels_mean=row.volume_voxels_mean)
        for name, row in zip(names, other, strict=True)
    ]
    write_rows(rows, swapped, shard_file(full_store.path, 0).read_bytes())
    assert content != json.loads(rows.read_bytes())
    assert "0/c/0/0/0/0/0" in damaged_files(full_store.path)


@pytest.mark.parametrize("content", [None, b"", b"\x00" * 32, b"\xff" * 32])
def test_offsets_that_are_lost_are_counted_anew(
    full_store: VolumeStore, settings: dict[str, Any], content: bytes | None
) -> None:
    file = full_store.path / "dispr_rows" / "names.offsets"
    sound = file.read_bytes()
    for mend in (full_store.finish, lambda: create_or_resume(full_store.path, **settings)):
        file.unlink() if content is None else file.write_bytes(content)
        store = open_store(full_store.path)
        assert [*store.cells.names] == settings["cells"]
        assert [store.cells.index(name) for name in settings["cells"]] == [*range(7)]
        assert [store.cells[name].name for name in settings["cells"]] == settings["cells"]
        (damage,) = verify_store(store.path).damages
        assert damage.path == file
        assert str(damage).count(str(file)) == 1
        assert "merge-tables" in str(damage)
        mend()
        assert file.read_bytes() == sound
        assert verify_store(store.path).damages == []


def test_lost_offsets_do_not_matter_where_nothing_can_be_written(
    full_store: VolumeStore, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    (full_store.path / "dispr_rows" / "names.offsets").unlink()
    monkeypatch.setattr(names_module, "replace_bytes", refuse)
    assert create_or_resume(full_store.path, **settings).read("cell 5.tif").any()


@pytest.mark.parametrize("content", [None, b"", b'"x"\n', b'"cell"\n' * 7])
def test_the_run_of_a_store_writes_a_lost_list_of_names_anew(
    full_store: VolumeStore, settings: dict[str, Any], content: bytes | None
) -> None:
    file = full_store.path / "dispr_rows" / "names.jsonl"
    file.unlink() if content is None else file.write_bytes(content)
    (damage,) = verify_store(full_store.path).damages
    assert str(damage).count(str(file)) == 1
    assert "dispr reconstruct command of the run" in str(damage)
    assert "--overwrite" not in str(damage)
    create_or_resume(full_store.path, **settings)
    assert verify_store(full_store.path).damages == []


def test_names_in_another_order_are_noticed(full_store: VolumeStore) -> None:
    names = full_store.path / "dispr_rows" / "names.jsonl"
    lines = names.read_bytes().splitlines(keepends=True)
    names.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    assert damaged_files(full_store.path) == ["dispr_rows/names.jsonl"]


@pytest.mark.parametrize("change", [b"x", b""])
def test_a_table_that_was_edited_or_is_missing_is_noticed(full_store: VolumeStore, change: bytes) -> None:
    table = full_store.path / "cells.csv"
    content = table.read_bytes()
    if change:
        table.write_bytes(content.replace(b"a/b.tif", b"a/c.tif", 1))
    else:
        table.unlink()
    assert damaged_files(full_store.path) == ["cells.csv"]
    full_store.finish()
    assert table.read_bytes() == content
    table.write_bytes(content + b"more\n")
    assert damaged_files(full_store.path) == ["cells.csv"]


@pytest.mark.parametrize(
    ("old", "new"), [("micrometer", "millimeter"), ('"multiscales"', '"multiscale"'), ("0.25", "0.26")]
)
def test_changed_image_attributes_are_noticed(full_store: VolumeStore, old: str, new: str) -> None:
    file = full_store.path / "zarr.json"
    ome, dispr = file.read_text().split('"dispr": {')
    file.write_text(ome.replace(old, new) + '"dispr": {' + dispr)
    assert damaged_files(full_store.path) == ["zarr.json"]


def test_changed_settings_are_not_believed(full_store: VolumeStore) -> None:
    file = full_store.path / "zarr.json"
    file.write_text(file.read_text().replace('"seed": 3', '"seed": 7'))
    with pytest.raises(StoreError, match="do not match their checksum"):
        open_store(full_store.path)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"fill_value": 0', '"fill_value": 1'), ("bitshuffle", "noshuffle"), ('"uint8"', '"int8"')],
)
def test_changed_array_metadata_is_noticed(full_store: VolumeStore, old: str, new: str) -> None:
    file = full_store.path / "0" / "zarr.json"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    assert damaged_files(full_store.path)[0] in ("0/zarr.json", "0")


def test_any_flipped_bit_is_noticed(full_store: VolumeStore, tmp_path: Path) -> None:
    chosen = random.Random(0)
    files = [path.relative_to(full_store.path) for path in full_store.path.rglob("*") if path.is_file()]
    for trial in range(40):
        copy = tmp_path / f"{trial}.zarr"
        shutil.copytree(full_store.path, copy)
        file = copy / files[trial % len(files)]
        content = bytearray(file.read_bytes())
        content[chosen.randrange(len(content))] ^= 1 << chosen.randrange(8)
        file.write_bytes(content)
        try:
            result = verify_store(copy)
            noticed = bool(result.damages or result.notes)
        except StoreError:
            noticed = True
        assert noticed or _says_the_same(file, full_store.path / files[trial % len(files)]), file
        shutil.rmtree(copy)


def _says_the_same(file: Path, original: Path) -> bool:
    """JSON's blanks carry nothing, and neither do entries of zarr.json that are not zarr's."""
    if file.suffix != ".json":
        return False
    found, wanted = json.loads(file.read_bytes()), json.loads(original.read_bytes())
    return all(found.get(key) == value for key, value in wanted.items() if key != "consolidated_metadata")


def test_stores_of_early_versions_are_read_and_noted(full_store: VolumeStore) -> None:
    for file in [full_store.path / "zarr.json", row_file(full_store.path, 1)]:
        content = json.loads(file.read_bytes())
        entries = content["attributes"]["dispr"] if "attributes" in content else content
        del entries["sha256"]
        file.write_text(json.dumps(content))
    assert open_store(full_store.path).progress().done == 7
    result = verify_store(full_store.path)
    assert result.damages == []
    assert len(result.notes) == 2
