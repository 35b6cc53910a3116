"""``dispr export`` writes the cells it is asked for and names those it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.rows import CellRow
from tests.commands.in_process import dispr_here as dispr

NAMES = ["f#1", "f#2", "f#3"]


@pytest.fixture
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    made = create_or_resume(
        tmp_path / "a.zarr", num_cells=3, num_samples=1, voxel_size_um=None, configuration={}, cells=NAMES
    )
    volumes = np.zeros((3, 1, 64, 64, 64), np.uint8)
    volumes[1:, :, 20:40, 20:40, 20:40] = 255
    if request.node.name == "test_an_empty_shape_stops_no_others":
        volumes[1] = 0
    made.write_shard(0, volumes, [CellRow("f#1", status="failed: it is flat"), *map(CellRow, NAMES[1:])])
    return made.path


def written(text: str) -> list[str]:
    return [Path(line).name for line in text.splitlines()]


def test_several_cells_are_exported(store: Path) -> None:
    found = dispr("export", store, "--cell", "f#3", "--cell", 1, "--cell", 2, "--format", "npy")
    assert (found.returncode, found.stderr) == (0, "")
    assert written(found.stdout) == ["f#3.npy", "f#2.npy"]
    assert all(Path(line).is_file() for line in found.stdout.splitlines())


def test_the_store_one_is_in(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store)
    found = dispr("export", ".", "--cell", 1, "--format", "npy")
    assert found.returncode == 0, found.stderr
    assert Path(found.stdout.strip()) == store.with_name("a_export") / "f#2.npy"


def test_cells_without_volumes_are_named(store: Path) -> None:
    found = dispr("export", store, "--cell", "all", "--format", "npy")
    assert found.returncode == 0
    assert found.stderr == "left out: f#1 (failed: it is flat)\n"
    assert written(found.stdout) == ["f#2.npy", "f#3.npy"]
    found = dispr("export", store, "--cell", 0, "--cell", 1, "--format", "npy")
    assert found.returncode == 1
    assert found.stderr == "left out: f#1 (failed: it is flat)\n"
    assert written(found.stdout) == ["f#2.npy"]


def test_a_wrong_name_is_told_before_anything_is_written(store: Path) -> None:
    found = dispr("export", store, "--cell", 1, "--cell", "nobody", "--format", "npy")
    assert found.returncode == 2
    assert "has no cell called 'nobody'" in found.stderr
    assert not store.with_name("a_export").exists()


def test_an_empty_shape_stops_no_others(store: Path) -> None:
    found = dispr("export", store, "--cell", "all", "--format", "stl")
    assert found.returncode == 0
    assert found.stderr.splitlines()[1] == "left out: f#2 (an empty shape has no surface)"
    assert written(found.stdout) == ["f#3_mean.stl"]
    assert dispr("export", store, "--cell", 1, "--format", "stl").returncode == 1
