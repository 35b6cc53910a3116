"""Truths of every kind are compared with; those that cannot be are listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from dispr_cli import evaluation
from dispr_cli.errors import InputError
from dispr_cli.evaluation import evaluate
from tests.scoring.stores import RADII, around, ball, make_store, write_truths

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
