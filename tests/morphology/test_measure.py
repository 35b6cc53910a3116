"""From shapes to a table: what is in it, what a stopped run leaves, what a broken shape does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from dispr_cli.errors import ConfigError, InputError, StoreError
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.methods import load_method
from dispr_cli.morphology import measure, sources, table
from dispr_cli.morphology.measure import measure_to_table
from dispr_cli.morphology.sources import find_shapes
from dispr_cli.morphology.table import (
    CSV_DIGEST,
    FAILED,
    MEASURED,
    PREDICTED,
    TRUTH,
    facts_file,
    read_table,
)
from dispr_cli.scoring.truths import open_truths
from dispr_cli.shape.features.planar import PLANAR_FEATURES
from dispr_cli.shape.features.registry import SHAPE_FEATURES, measure_shape
from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.rows import FAILED as CELL_FAILED
from dispr_cli.volumes.rows import CellRow
from dispr_cli.volumes.store import VolumeStore

SHAPES = [feature.name for feature in SHAPE_FEATURES]
PLANES = [feature.name for feature in PLANAR_FEATURES]


class Listener:
    def __init__(self) -> None:
        self.total = self.finished = 0
        self.seen: list[str] = []
        self.stop_after = 10**9

    def started(self, total: int, finished: int) -> None:
        self.total, self.finished = total, finished

    def measured(self, cell: str, problem: str | None) -> None:
        self.seen.append(cell)
        if len(self.seen) >= self.stop_after:
            raise KeyboardInterrupt


def ball(radius: float) -> np.ndarray:
    distance = np.linalg.norm(np.indices((64, 64, 64)) - 31.8, axis=0)
    return np.clip(127.5 + 63.75 * (radius - distance), 0, 255).round().astype(np.uint8)


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    folder = tmp_path / "volumes"
    folder.mkdir()
    for radius in (8, 10, 12):
        tifffile.imwrite(folder / f"ball_{radius:04d}.tif", ball(radius))
    return folder


def test_cells_with_truth_have_shape_and_plane(phantom_folder: Path, tmp_path: Path) -> None:
    out, events = tmp_path / "made" / "truth.parquet", Listener()
    source = find_shapes(phantom_folder, InputSettings(pixel_size_um=0.2))
    made = measure_to_table(source, out, threads=2, events=events)
    assert (made.shapes, made.failed, made.unit_of_length) == (7, 0, "um")
    table = read_table(out)
    assert list(table.names) == SHAPES + PLANES
    assert set(table.kinds) == {TRUTH}
    assert sorted(events.seen) == sorted(table.cells) == list(table.cells)
    assert np.isfinite(table.values).all()
    volume = tifffile.imread(phantom_folder / "obj" / f"{table.cells[3]}.tif")
    np.testing.assert_allclose(
        table.values[3, : len(SHAPES)], list(measure_shape(volume, 0.2).values()), rtol=1e-12
    )
    assert list(tmp_path.joinpath("made").iterdir()) == [out]


def test_csv_and_parquet_say_the_same(volumes: Path, tmp_path: Path) -> None:
    tables = []
    for name in ("a.csv", "a.parquet"):
        source = find_shapes(volumes, InputSettings())
        measure_to_table(source, tmp_path / name, threads=1, events=Listener())
        tables.append(read_table(tmp_path / name))
    text, binary = tables
    assert text.names == binary.names == tuple(SHAPES)
    assert text.facts == binary.facts
    assert text.facts.unit_of_length == "voxel"
    np.testing.assert_array_equal(text.cells, binary.cells)
    np.testing.assert_allclose(text.values, binary.values, rtol=1e-9)


def test_a_stopped_run_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "FILES_IN_A_UNIT", 4)
    folder, whole, halted = tmp_path / "obj", tmp_path / "whole.parquet", tmp_path / "halted.parquet"
    folder.mkdir()
    for number in range(7):
        tifffile.imwrite(folder / f"ball_{number:04d}.tif", ball(4 + number / 4))
    measure_to_table(find_shapes(tmp_path, InputSettings()), whole, threads=1, events=Listener())
    stopped = Listener()
    stopped.stop_after = 5
    with pytest.raises(KeyboardInterrupt):
        measure_to_table(find_shapes(tmp_path, InputSettings()), halted, threads=1, events=stopped)
    assert not halted.exists()
    again = Listener()
    measure_to_table(find_shapes(tmp_path, InputSettings()), halted, threads=1, events=again)
    assert (again.finished, len(again.seen)) == (4, 3)
    assert whole.read_bytes() == halted.read_bytes()


def test_parts_of_changed_files_are_not_used(volumes: Path, tmp_path: Path) -> None:
    out, stopped = tmp_path / "table.csv", Listener()
    parts = tmp_path / ".table.csv.parts"
    parts.mkdir()
    (parts / "plan").write_bytes(b"another source")
    (parts / "00000000.parquet").write_bytes(b"not its part")
    measure_to_table(find_shapes(volumes, InputSettings()), out, threads=1, events=stopped)
    assert (stopped.finished, len(stopped.seen)) == (0, 3)


def test_parts_of_another_version_are_not_used(
    volumes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "FILES_IN_A_UNIT", 2)
    out, stopped, again = tmp_path / "table.parquet", Listener(), Listener()
    stopped.stop_after = 3
    with pytest.raises(KeyboardInterrupt):
        measure_to_table(find_shapes(volumes, InputSettings()), out, threads=1, events=stopped)
    monkeypatch.setattr(measure, "__version__", "0.0.9", raising=False)
    measure_to_table(find_shapes(volumes, InputSettings()), out, threads=1, events=again)
    assert (again.finished, len(again.seen)) == (0, 3)


def test_a_broken_shape_is_a_row_that_says_why(volumes: Path, tmp_path: Path) -> None:
    tifffile.imwrite(volumes / "ball_0009.tif", np.zeros((64, 64, 64), np.uint8))
    tifffile.imwrite(volumes / "ball_0011.tif", np.zeros((5, 64, 64), np.uint8))
    out = tmp_path / "table.parquet"
    made = measure_to_table(find_shapes(volumes, InputSettings()), out, threads=2, events=Listener())
    assert (made.shapes, made.failed) == (5, 2)
    table = read_table(out)
    failed = {str(cell): str(status) for cell, status in zip(table.cells, table.statuses, strict=True)}
    assert failed.pop("ball_0009").startswith(f"{FAILED}")
    assert "64 x 64 x 64" in failed.pop("ball_0011")
    assert set(failed.values()) == {MEASURED}
    assert np.isnan(table.values[1]).all()


def make_store(
    path: Path,
    configuration: dict,
    voxel_size_um: float | None = 0.25,
    learned: bool | None = None,
    shards: tuple[int, ...] = (0, 1),
) -> VolumeStore:
    store = create_or_resume(
        path,
        num_cells=3,
        num_samples=2,
        voxel_size_um=voxel_size_um,
        configuration=configuration,
        cells=["a1", "a2", "b1"],
        provenance={},
        shard_cells=2,
    )
    for shard in store.pending_shards(shards):
        names = store.cells.names.of_shard(shard)
        drawn = np.stack([[ball(8), ball(9)] for _ in names])
        rows = [
            CellRow(
                name,
                voxel_size_um=voxel_size_um,
                status=f"{CELL_FAILED}dark" if name == "a2" else "done",
                learned=learned,
            )
            for name in names
        ]
        store.write_shard(shard, drawn, rows)
    store.finish()
    return store


def test_cells_that_a_store_gets_while_it_is_measured_are_counted_as_absent(tmp_path: Path) -> None:
    path = tmp_path / "out.zarr"
    make_store(path, {"method": "dispr"}, shards=(1,))

    class Meanwhile(Listener):
        def measured(self, cell: str, problem: str | None) -> None:
            super().measured(cell, problem)
            make_store(path, {"method": "dispr"}, shards=(0,))

    out, events = tmp_path / "t.parquet", Meanwhile()
    made = measure_to_table(find_shapes(path), out, threads=1, events=events)
    assert set(read_table(out).cells) == set(events.seen) == {"b1"}
    assert (made.shapes, made.absent) == (2, 2)


def test_a_store_has_a_row_for_each_sample_and_its_network(tmp_path: Path) -> None:
    make_store(tmp_path / "out.zarr", {"method": "dispr", "weights_sha256": "abc"})
    source = find_shapes(tmp_path / "out.zarr", InputSettings(), facts={"abc": frozenset({"a1", "a2"})})
    measure_to_table(source, tmp_path / "t.parquet", threads=2, events=Listener())
    table = read_table(tmp_path / "t.parquet")
    assert list(table.cells) == ["a1", "a1", "b1", "b1"]
    assert list(table.samples) == [0, 1, 0, 1]
    assert set(table.kinds) == {PREDICTED}
    assert set(table.networks) == {"abc"}
    assert table.facts.unit_of_length == "um"
    record = table.facts.networks["abc"]
    assert record.may_serve(["a1", "a2"])
    assert not record.may_serve(["a1", "b1"])


@pytest.mark.parametrize(
    ("configuration", "never_seen", "network", "serves"),
    [
        ({"method": "dispr", "weights_sha256": "abc"}, False, "abc", False),
        ({"method": "dispr", "weights_sha256": "abc"}, True, "abc", True),
        ({"method": "cylinder"}, False, "cylinder", False),
        ({"method": "nearest"}, False, "nearest", False),
        (
            {"method": "dispr", "weights_sha256": "x", "held_out_weights": {"0": "p", "1": "q"}},
            False,
            "x",
            False,
        ),
    ],
)
def test_what_is_not_known_of_a_network_is_not_assumed(
    tmp_path: Path, configuration: dict, never_seen: bool, network: str, serves: bool
) -> None:
    make_store(tmp_path / "out.zarr", configuration)
    source = find_shapes(tmp_path / "out.zarr", InputSettings(), never_seen=never_seen)
    assert {ref.network for ref in source.unit(0)} == {network}
    assert source.networks[network].may_serve(["a1"]) is serves


def test_what_a_store_records_is_not_overruled(tmp_path: Path) -> None:
    make_store(tmp_path / "out.zarr", {"method": "dispr", "weights_sha256": "abc"}, learned=True)
    with pytest.raises(InputError, match=r"--never-seen: .*out\.zarr records that .* learned from 3 of"):
        find_shapes(tmp_path / "out.zarr", InputSettings(), never_seen=True)


@pytest.mark.parametrize("name", ["cylinder", "ellipsoid", "inflate"])
def test_a_method_that_learns_from_no_cell_may_serve_all(tmp_path: Path, name: str) -> None:
    make_store(tmp_path / "out.zarr", load_method(name).identity())
    source = find_shapes(tmp_path / "out.zarr", InputSettings())
    assert source.networks[name].may_serve(["a1", "b1"])


def test_each_cell_of_a_held_out_store_has_its_own_network(tmp_path: Path) -> None:
    hashes = {"fold0": "p", "fold1": "q"}
    make_store(
        tmp_path / "out.zarr", {"method": "dispr", "weights_sha256": "x", "held_out_weights": hashes}, None
    )
    facts = {"p": frozenset({"a1", "a2"}), "q": frozenset({"b1"})}
    source = find_shapes(tmp_path / "out.zarr", InputSettings(), facts=facts)
    networks = {ref.cell: ref.network for unit in range(source.num_units) for ref in source.unit(unit)}
    assert networks == {"a1": "p", "b1": "q"}


def test_predictions_of_other_programs(volumes: Path) -> None:
    source = find_shapes(volumes, InputSettings(), predicted=True)
    (network,) = {ref.network for ref in source.unit(0)}
    assert {ref.kind for ref in source.unit(0)} == {PREDICTED}
    assert not source.networks[network].may_serve(["ball_0008"])


def test_bad_input_is_told(tmp_path: Path, volumes: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        find_shapes(tmp_path / "none", InputSettings())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no volume"):
        find_shapes(tmp_path / "empty", InputSettings())
    source = find_shapes(volumes, InputSettings())
    with pytest.raises(ConfigError, match=r"\.parquet or \.csv"):
        measure_to_table(source, tmp_path / "table.xlsx", threads=1, events=Listener())
    (tmp_path / "t.csv").write_text("cell,volume\na,1\n")
    with pytest.raises(ConfigError, match="is there already"):
        measure_to_table(source, tmp_path / "t.csv", threads=1, events=Listener())
    with pytest.raises(InputError, match="dispr features"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(InputError, match="dispr features"):
        read_table(tmp_path / "t.parquet")


def test_facts_nested_too_deep_are_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("cell\na\n")
    facts_file(tmp_path / "t.csv").write_text("[" * 100_000)
    with pytest.raises(InputError, match="is not a table of features"):
        read_table(tmp_path / "t.csv")


def test_a_csv_beside_the_facts_of_another_is_told(volumes: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.csv"
    measure_to_table(find_shapes(volumes), out, threads=1, events=Listener())
    rows = out.read_bytes()
    measure_to_table(
        find_shapes(volumes, voxel_size_um=0.2), out, threads=1, events=Listener(), overwrite=True
    )
    assert read_table(out).facts.unit_of_length == "um"
    out.write_bytes(rows)
    with pytest.raises(InputError, match=r"t\.csv: is not the table that t\.csv\.json .* --overwrite"):
        read_table(out)


def test_a_csv_of_an_earlier_version_is_read(volumes: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.csv"
    measure_to_table(find_shapes(volumes), out, threads=1, events=Listener())
    facts = json.loads(facts_file(out).read_text())
    facts_file(out).write_text(json.dumps({name: facts[name] for name in facts if name != CSV_DIGEST}))
    assert len(read_table(out)) == 3


def test_a_run_that_dies_in_the_table_leaves_the_old_one_with_its_facts(
    volumes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "t.csv"
    measure_to_table(find_shapes(volumes), out, threads=1, events=Listener())
    before = read_table(out)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(table, "_cell", killed)
    again = find_shapes(volumes, voxel_size_um=0.2)
    with pytest.raises(KeyboardInterrupt):
        measure_to_table(again, out, threads=1, events=Listener(), overwrite=True)
    assert read_table(out).facts == before.facts


def test_a_damaged_or_missing_store_is_called_so_and_not_a_folder(tmp_path: Path) -> None:
    """As an evaluation says it: whether a path is a store is asked in one place."""
    missing, foreign = tmp_path / "no.zarr", tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "zarr.json").write_text('{"attributes": {}}')
    for opened in (find_shapes, open_truths):
        with pytest.raises(StoreError, match=r"no\.zarr does not exist: expected the folder of a store"):
            opened(missing)
        with pytest.raises(StoreError, match="foreign is not a store made by dispr"):
            opened(foreign)


def test_the_present_folder_has_a_name(volumes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(volumes)
    source = find_shapes(Path(), predicted=True)
    assert source.name == "volumes"
    assert list(source.networks) == ["volumes of volumes"]
