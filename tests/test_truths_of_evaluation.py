"""Truths of every kind are compared with; those that cannot be are listed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from dispr_cli import evaluation
from dispr_cli.errors import InputError
from dispr_cli.evaluation import evaluate
from dispr_cli.inputs.plan import plan_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.pipeline import reconstruct_to_store
from dispr_cli.volumes.layout import row_file
from dispr_cli.volumes.rows import read_rows, write_rows
from tests.scoring.stores import RADII, around, ball, make_store, write_truths
from tests.scripted_method import ScriptedMethod

FIRST = next(iter(RADII))


@pytest.fixture(scope="module")
def truths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_truths(tmp_path_factory.mktemp("truths"))


def test_cells_and_truths_without_each_other_are_listed(tmp_path: Path) -> None:
    make_store(tmp_path / "a.zarr", around(0.0))
    known = {name: radius for name, radius in RADII.items() if name != FIRST}
    truths = write_truths(tmp_path / "truths", known | {"nobody9": 8.0})
    found = evaluate(tmp_path / "a.zarr", truths, figures=False)
    assert [(item.cell, item.reason) for item in found.left_out] == [(FIRST, f"no ground truth in {truths}")]
    assert found.match.unused_truths == ("nobody9",)
    assert not found.unfinished


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (np.zeros((64, 64, 64), np.uint8), "is empty"),
        (np.where(ball(9) > 127, np.nan, 0).astype(np.float32), "NaN"),
        (ball(9)[32], "expected a stack of three axes"),
        (ball(9)[:50], "50 x 64 x 64 voxels and not 64 x 64 x 64"),
        (ball(9)[None].repeat(2, 0), "expected a stack of three axes"),
        (ball(9).astype(np.complex64), "complex"),
    ],
)
def test_truths_that_cannot_be_used_are_listed(tmp_path: Path, stored: np.ndarray, words: str) -> None:
    make_store(tmp_path / "a.zarr", around(0.0))
    truths = write_truths(tmp_path / "truths")
    tifffile.imwrite(truths / "obj" / f"{FIRST}.tif", stored, photometric="minisblack")
    told: list[tuple[str, str]] = []

    class Listening(evaluation.Silence):
        def left_out(self, cell: str, reason: str) -> None:
            told.append((cell, reason))

    found = evaluate(tmp_path / "a.zarr", truths, figures=False, events=Listening())
    ((cell, reason),) = told
    assert cell == FIRST
    assert words in reason
    assert [item.cell for item in found.broken] == [FIRST]
    assert len(found.scores["balls"]) == 3


def test_a_truth_of_one_voxel_is_measured(tmp_path: Path) -> None:
    make_store(tmp_path / "a.zarr", around(0.0, 1.0) | {FIRST: [0.6, 2.0]})
    truths = write_truths(tmp_path / "truths")
    one = np.zeros((64, 64, 64), np.uint8)
    one[32, 32, 32] = 255
    tifffile.imwrite(truths / "obj" / f"{FIRST}.tif", one)
    found = evaluate(tmp_path / "a.zarr", truths, figures=False)
    scores = found.scores["balls"][FIRST]
    assert scores.truth["volume"] == pytest.approx(0.172**3)
    assert all(0 <= sample["iou"] <= 1 for sample in scores.samples)
    assert len(found.scores["balls"]) == 4


def test_a_truth_in_parts_is_measured_whole_and_noted(tmp_path: Path) -> None:
    make_store(tmp_path / "a.zarr", around(0.0))
    truths = write_truths(tmp_path / "truths")
    parts = np.maximum(ball(5, (20, 20, 20)), ball(6, (44, 44, 44)))
    tifffile.imwrite(truths / "obj" / f"{FIRST}.tif", parts)
    found = evaluate(tmp_path / "a.zarr", truths, figures=False)
    (note,) = found.notes
    assert note.cell == FIRST
    assert "2 parts" in note.reason
    measured = found.scores["balls"][FIRST].truth["volume"]
    assert measured == pytest.approx(np.count_nonzero(parts > 127) * 0.172**3)


def test_no_truth_can_be_used(tmp_path: Path) -> None:
    make_store(tmp_path / "a.zarr", around(0.0))
    truths = write_truths(tmp_path / "truths")
    for path in (truths / "obj").iterdir():
        tifffile.imwrite(path, np.zeros((64, 64, 64), np.uint8))
    with pytest.raises(InputError, match="none of its ground truths can be used"):
        evaluate(tmp_path / "a.zarr", truths)
    assert not any((tmp_path / "evaluation").iterdir())


def test_a_damaged_shard_is_a_cell_that_is_listed(tmp_path: Path, truths: Path) -> None:
    store = make_store(tmp_path / "a.zarr", around(0.0))
    (shard,) = [path for path in (store.path / "0" / "c").rglob("*") if path.is_file()]
    content = bytearray(shard.read_bytes())
    content[10:200] = bytes(190)
    shard.write_bytes(content)
    found = evaluate(store.path, truths, figures=False)
    assert any("shard is damaged" in item.reason for item in found.broken)
    assert 0 < len(found.scores["balls"]) < 4


def test_truths_may_be_a_store_or_plain_volumes(tmp_path: Path, truths: Path) -> None:
    make_store(tmp_path / "a.zarr", around(0.5))
    make_store(tmp_path / "truth.zarr", around(0.0))
    (tmp_path / "plain").mkdir()
    for name, radius in RADII.items():
        np.save(tmp_path / "plain" / f"{name}.npy", ball(radius))
    tables = []
    for source in (truths, tmp_path / "truth.zarr", tmp_path / "plain"):
        found = evaluate(tmp_path / "a.zarr", source, figures=False)
        tables.append((found.folder / "scores.csv").read_bytes())
    assert tables[0] == tables[1] == tables[2]


def test_a_truth_with_other_voxels_is_resampled(tmp_path: Path, truths: Path) -> None:
    make_store(tmp_path / "a.zarr", around(0.0))
    finer = tmp_path / "finer"
    finer.mkdir()
    sides = (0.25, 0.1, 0.125)
    for name, radius in RADII.items():
        shape = (44, 110, 88)
        centre = tuple((length - 1) / 2 for length in shape)
        volume = ball(radius * 0.172, centre, shape, sides)
        pixels = {"axes": "ZYX", **{f"PhysicalSize{a}": s for a, s in zip("ZYX", sides, strict=True)}}
        tifffile.imwrite(finer / f"{name}.ome.tif", volume, ome=True, metadata=pixels)
    found = evaluate(tmp_path / "a.zarr", finer, figures=False)
    assert found.broken == ()
    for scores in found.scores["balls"].values():
        assert scores.samples[0]["iou"] > 0.93
        assert scores.samples[0]["volume_error"] < 0.03


def test_without_voxel_sizes_all_is_in_voxels(tmp_path: Path, truths: Path) -> None:
    make_store(tmp_path / "a.zarr", around(-2.0), voxel_size_um=None)
    found = evaluate(tmp_path / "a.zarr", truths, figures=False)
    assert not found.micrometres
    assert found.summaries["balls"].summaries["surface_distance"]["all"].mean == pytest.approx(2, rel=0.02)
    told = evaluate(tmp_path / "a.zarr", truths, figures=False, voxel_size_um=0.5)
    assert told.summaries["balls"].summaries["surface_distance"]["all"].mean == pytest.approx(1, rel=0.02)


@pytest.fixture
def corner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store made from a relative path, of a cell in the corner of an image, and its truth on that image."""
    folder = tmp_path / "there"
    (folder / "in").mkdir(parents=True)
    (folder / "truth").mkdir()
    y, x = np.indices((140, 150))
    mask = np.hypot(y - 30, x - 110) < 18
    tifffile.imwrite(folder / "in" / "f.tif", np.uint8(20 + y % 7 + 100 * mask))
    tifffile.imwrite(folder / "in" / "f_mask.tif", np.uint8(mask))
    z = np.abs(np.arange(64) - 31.5)[:, None, None]
    sizes = {"axes": "ZYX", **{f"PhysicalSize{axis}": 0.172 for axis in "XYZ"}}
    truth = np.where((z < 3) & mask, 255, 0).astype(np.uint8)
    tifffile.imwrite(folder / "truth" / "f.ome.tif", truth, ome=True, metadata=sizes)
    monkeypatch.chdir(folder)
    inputs = InputSettings(pixel_size_um=0.172)
    plan = plan_cells(Path("in"), inputs)
    reconstruct_to_store(
        plan, Path("out.zarr"), ScriptedMethod(), inputs=inputs, num_samples=1, seed=0, cells_at_once=1
    )
    return folder


def test_a_store_knows_where_its_cells_were_cut_out(
    corner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = evaluate("out.zarr", "truth", figures=False).scores["scripted"]["f"].samples
    assert here[0]["iou"] > 0.99
    monkeypatch.chdir(tmp_path)
    elsewhere = evaluate(corner / "out.zarr", corner / "truth", figures=False)
    assert elsewhere.scores["scripted"]["f"].samples == here
    (corner / "in").rename(corner / "moved")
    assert (
        evaluate(corner / "out.zarr", corner / "truth", figures=False).scores["scripted"]["f"].samples == here
    )


def test_a_truth_is_not_laid_where_nobody_knows_that_it_belongs(
    corner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in stores of early versions, which had to open the image again."""
    file = row_file(Path("out.zarr"), 0)
    found = read_rows(file, ["f"])
    assert found is not None
    shard = next(path for path in Path("out.zarr/0/c").rglob("*") if path.is_file())
    early = [replace(row, source_shape=None, source=f"in/{row.source}") for row in found.rows]
    write_rows(file, early, shard.read_bytes())
    assert evaluate("out.zarr", "truth", figures=False).scores["scripted"]["f"].samples[0]["iou"] > 0.99
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="does not say where the cell was cut out") as caught:
        evaluate(corner / "out.zarr", corner / "truth", figures=False)
    assert "64 x 140 x 150 voxels" in str(caught.value)


def test_a_cube_on_a_resampled_image_is_only_compared_where_its_place_is_known(tmp_path: Path) -> None:
    """Image, grid and truth have 64 pixels a side, but those of the image are larger."""
    y, x = np.indices((64, 64))
    mask = np.hypot(y - 25, x - 36) < 14
    for folder in ("in", "plain"):
        (tmp_path / folder).mkdir()
    tifffile.imwrite(tmp_path / "in" / "f.tif", np.uint8(20 + y % 7 + 100 * mask))
    tifffile.imwrite(tmp_path / "in" / "f_mask.tif", np.uint8(mask))
    half = 3 * 0.172 / 0.25  # As thick as what the method draws.
    truth = np.where((np.abs(np.arange(64) - 31.5)[:, None, None] < half) & mask, 255, 0).astype(np.uint8)
    tifffile.imwrite(tmp_path / "plain" / "f.tif", truth, photometric="minisblack")
    inputs = InputSettings(pixel_size_um=0.25)
    plan, out = plan_cells(tmp_path / "in", inputs), tmp_path / "out.zarr"
    reconstruct_to_store(plan, out, ScriptedMethod(), inputs=inputs, num_samples=1, seed=0, cells_at_once=1)
    with pytest.raises(InputError, match="give --truth-voxel-size"):
        evaluate(out, tmp_path / "plain", figures=False)
    told = evaluate(out, tmp_path / "plain", figures=False, truth_voxel_size_um=(0.25,) * 3)
    assert told.scores["scripted"]["f"].samples[0]["iou"] > 0.8
    same = evaluate(out, out, figures=False)
    assert same.scores["scripted"]["f"].samples[0]["iou"] == 1
