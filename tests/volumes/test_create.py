"""A store is created once, continued by the same run, and never takes anything else's place."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dispr_cli.errors import StoreError
from dispr_cli.volumes import create
from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.layout import row_file, shard_file
from dispr_cli.volumes.rows import CellRow
from dispr_cli.volumes.store import VolumeStore, open_store

Fill = Callable[..., None]


def contents(store: VolumeStore) -> list[bytes]:
    """The decoded voxels and the table: what must not depend on how a store came about."""
    return [volumes.tobytes() for volumes, _ in store.shards()] + [(store.path / "cells.csv").read_bytes()]


def test_same_run_continues(tmp_path: Path, settings: dict[str, Any], fill: Fill) -> None:
    store = create_or_resume(tmp_path / "out.zarr", **settings)
    fill(store, 1)
    again = create_or_resume(tmp_path / "out.zarr", **settings)
    assert again.pending_shards() == [0, 2]
    assert again.configuration == settings["configuration"]
    assert again.provenance == {"version": "0.1.0"}


def test_continuing_keeps_the_shards_of_the_store(tmp_path: Path, settings: dict[str, Any]) -> None:
    create_or_resume(tmp_path / "out.zarr", **settings)
    assert create_or_resume(tmp_path / "out.zarr", **{**settings, "shard_cells": None}).grid.shard_cells == 3


def test_continued_store_equals_an_undisturbed_one(
    tmp_path: Path, settings: dict[str, Any], fill: Fill, full_store: VolumeStore
) -> None:
    store = create_or_resume(tmp_path / "out.zarr", **settings)
    fill(store, 1)
    # As a kill leaves it: one shard without its rows, one half written, one row file half written.
    fill(store, 0)
    row_file(store.path, 0).unlink()
    shard_file(store.path, 2).parent.mkdir(parents=True)
    shard_file(store.path, 2).write_bytes(b"half")
    (store.path / "dispr_rows" / ".000002.json.host-1-ab.partial").write_text('{"shard_bytes": 4, "rows"')
    again = create_or_resume(tmp_path / "out.zarr", **settings)
    assert again.pending_shards() == [0, 2]
    fill(again)
    again.finish()
    assert contents(again) == contents(full_store)


def test_interrupted_shard_keeps_its_finished_cells(
    tmp_path: Path, settings: dict[str, Any], fill: Fill
) -> None:
    store = create_or_resume(tmp_path / "out.zarr", **settings)
    volumes = np.zeros(store.grid.volume_shape(0), np.uint8)
    volumes[0] = 200
    names = store.cells.names.of_shard(0)
    store.write_shard(
        0, volumes, [CellRow(names[0]), *(CellRow(name, status="pending") for name in names[1:])]
    )
    again = create_or_resume(tmp_path / "out.zarr", **settings)
    assert again.pending_shards() == [0, 1, 2]
    kept, rows = again.read_shard(0)
    assert np.array_equal(kept, volumes)
    assert [row.is_done for row in rows] == [True, False, False]


_WRITER = """
import sys, numpy as np
from pathlib import Path
from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.rows import CellRow
names = [f"cell {i}" for i in range(24)]
store = create_or_resume(Path(sys.argv[1]), num_cells=24, num_samples=1, voxel_size_um=None,
                         configuration={}, cells=names, shard_cells=2)
print("begin", flush=True)
for shard in store.pending_shards():
    cells = store.grid.cells_of(shard)
    volumes = np.stack([np.random.default_rng(i).integers(0, 256, (1, 64, 64, 64), np.uint8) for i in cells])
    store.write_shard(shard, volumes, [CellRow(names[i]) for i in cells])
store.finish()
print("end", flush=True)
"""


def _write(path: Path, seconds: float | None) -> bool:
    """Run the writer in a process of its own and kill it after some time; True if it came to its end."""
    arguments = [sys.executable, "-c", _WRITER, str(path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begin\n"
        if seconds is not None:
            time.sleep(seconds)
            writer.send_signal(signal.SIGKILL)
        return "end" in writer.stdout.read()


def test_killed_again_and_again_it_ends_as_if_never_killed(tmp_path: Path) -> None:
    for seconds in (0.02, 0.11, 0.05):
        _write(tmp_path / "killed.zarr", seconds)
    assert _write(tmp_path / "killed.zarr", None)
    assert _write(tmp_path / "calm.zarr", None)
    killed, calm = open_store(tmp_path / "killed.zarr"), open_store(tmp_path / "calm.zarr")
    assert killed.progress().done == 24
    assert contents(killed) == contents(calm)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"configuration": {"seed": 4, "sampler": {"num_steps": 6, "name": "euler"}}},
            "seed: 3 in the store, 4 now",
        ),
        (
            {"configuration": {"seed": 3, "sampler": {"num_steps": 2, "name": "heun"}}},
            "sampler.name: 'euler' in the store, 'heun' now; sampler.num_steps: 6 in the store, 2 now",
        ),
        ({"configuration": {"seed": 3}}, r"sampler: \{.*\} in the store, absent now"),
        ({"num_samples": 5}, "num_samples: 2 in the store, 5 now"),
        ({"voxel_size_um": None}, "voxel_size_um: 0.25 in the store, None now"),
        ({"num_cells": 1, "cells": ["cell 0.tif"]}, r"cells: 6 only in the store \(cell 1.tif, .*, ...\)"),
        ({"num_cells": 1, "cells": ["new"]}, r"cells: 1 not in the store \(new\), 7 only in the store"),
        ({"cells": [f"cell {index}.tif" for index in range(6, -1, -1)]}, "cells: the same, in another order"),
    ],
)
def test_other_run_is_refused_with_every_difference(
    tmp_path: Path, settings: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    create_or_resume(tmp_path / "out.zarr", **settings)
    with pytest.raises(StoreError, match=message) as refusal:
        create_or_resume(tmp_path / "out.zarr", **{**settings, **changes})
    assert "--overwrite" in str(refusal.value)


def test_a_source_that_grew_is_told_how_to_go_on(tmp_path: Path, settings: dict[str, Any]) -> None:
    create_or_resume(tmp_path / "out.zarr", **settings)
    grown = {**settings, "num_cells": 8, "cells": ["a new one", *settings["cells"]]}
    with pytest.raises(StoreError, match=r"7 of the 8 cells.*1 not in the store \(a new one\).*of their own"):
        create_or_resume(tmp_path / "out.zarr", **grown)


def test_other_provenance_is_no_other_run(tmp_path: Path, settings: dict[str, Any]) -> None:
    create_or_resume(tmp_path / "out.zarr", **settings)
    create_or_resume(tmp_path / "out.zarr", **{**settings, "provenance": {"device": "cuda"}})


def test_tuples_and_paths_in_the_settings_are_no_difference(tmp_path: Path, settings: dict[str, Any]) -> None:
    settings["configuration"] = {"channels": (32, 64), "weights": Path("a.safetensors")}
    create_or_resume(tmp_path / "out.zarr", **settings)
    create_or_resume(tmp_path / "out.zarr", **settings)


def test_overwriting_starts_anew(full_store: VolumeStore, settings: dict[str, Any]) -> None:
    settings["configuration"] = {"seed": 99}
    store = create_or_resume(full_store.path, **settings, overwrite=True)
    assert store.pending_shards() == [0, 1, 2]
    assert store.configuration == {"seed": 99}
    assert [path.name for path in full_store.path.parent.iterdir()] == [full_store.path.name]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("content", [None, "{}", '{"attributes": {"ome": {}}}', "{broken"])
def test_foreign_folder_is_never_touched(
    tmp_path: Path, settings: dict[str, Any], overwrite: bool, content: str | None
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    if content is not None:
        (tmp_path / "zarr.json").write_text(content)
    with pytest.raises(StoreError, match="holds other things than a store made by dispr"):
        create_or_resume(tmp_path, **settings, overwrite=overwrite)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("overwrite", [False, True])
def test_output_is_a_file(tmp_path: Path, settings: dict[str, Any], overwrite: bool) -> None:
    (tmp_path / "out.zarr").write_text("x")
    with pytest.raises(StoreError, match="is a file: the output must be a folder"):
        create_or_resume(tmp_path / "out.zarr", **settings, overwrite=overwrite)
    with pytest.raises(StoreError, match=r"out\.zarr"):
        create_or_resume(tmp_path / "out.zarr" / "below", **settings)


def test_output_below_missing_or_empty_folders_is_made(tmp_path: Path, settings: dict[str, Any]) -> None:
    assert create_or_resume(tmp_path / "a" / "b.zarr", **settings).num_cells == 7
    (tmp_path / "empty.zarr").mkdir()
    assert create_or_resume(tmp_path / "empty.zarr", **settings).num_cells == 7


def test_linked_output_is_followed(tmp_path: Path, settings: dict[str, Any]) -> None:
    (tmp_path / "link.zarr").symlink_to(tmp_path / "real.zarr")
    create_or_resume(tmp_path / "link.zarr", **settings)
    create_or_resume(tmp_path / "link.zarr", **settings, overwrite=True)
    assert open_store(tmp_path / "real.zarr").num_cells == 7
    assert (tmp_path / "link.zarr").is_symlink()


def test_unwritable_folder(tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(create, "write_names", refuse)
    with pytest.raises(
        StoreError, match=r"cannot create the store: Permission denied. Choose an output folder"
    ):
        create_or_resume(tmp_path / "out.zarr", **settings)
    assert [*tmp_path.iterdir()] == []


def test_slower_of_two_creators_continues_the_other(
    tmp_path: Path, settings: dict[str, Any], fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.zarr"
    create_array = create.create_array

    def overtaken(*arguments: Any) -> None:
        monkeypatch.setattr(create, "create_array", create_array)
        fill(create_or_resume(path, **settings), 0)
        create_array(*arguments)

    monkeypatch.setattr(create, "create_array", overtaken)
    assert create_or_resume(path, **settings).pending_shards() == [1, 2]
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.zarr"]


def test_leftovers_of_the_dead_go_and_of_the_living_stay(tmp_path: Path, settings: dict[str, Any]) -> None:
    alive = create.partial_path(tmp_path / "out.zarr")
    dead = alive.with_name(alive.name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-"))
    for folder in (alive, dead):
        folder.mkdir()
    store = create_or_resume(tmp_path / "out.zarr", **settings)
    assert alive.exists()
    assert not dead.exists()
    # One that was killed while it lost the race for the name: the store is there, nobody creates it again.
    dead.mkdir()
    store.finish()
    assert alive.exists()
    assert not dead.exists()


def test_names_are_unique_and_as_many_as_cells(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="two cells are called 'twice'"):
        create_or_resume(
            tmp_path / "a.zarr", **{**settings, "num_cells": 3, "cells": ["twice", "x", "twice"]}
        )
    for cells in (["x"], [str(index) for index in range(9)]):
        with pytest.raises(ValueError, match="7 cells"):
            create_or_resume(tmp_path / "a.zarr", **{**settings, "cells": cells})
    with pytest.raises(ValueError, match="nothing to hold"):
        create_or_resume(tmp_path / "a.zarr", **{**settings, "num_cells": 0, "cells": []})
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("num_samples", [1, 2, 5, 40, 1000])
def test_default_shards_fit_into_memory(tmp_path: Path, settings: dict[str, Any], num_samples: int) -> None:
    arguments = {**settings, "num_samples": num_samples, "shard_cells": None}
    grid = create_or_resume(tmp_path / "out.zarr", **arguments).grid
    cell_bytes = num_samples * 64**3
    assert grid.shard_cells == 1 or grid.shard_cells * cell_bytes <= 64 * 2**20
    assert grid.shard_cells * cell_bytes >= 16 * 2**20


def test_store_can_be_moved(full_store: VolumeStore, tmp_path: Path) -> None:
    shutil.copytree(full_store.path, tmp_path / "copy.zarr")
    assert contents(open_store(tmp_path / "copy.zarr")) == contents(full_store)


def test_attributes_say_how_it_was_made(full_store: VolumeStore) -> None:
    ours = json.loads((full_store.path / "zarr.json").read_text())["attributes"]["dispr"]
    assert ours["configuration"]["sampler"]["num_steps"] == 6
    assert ours["provenance"] == {"version": "0.1.0"}
