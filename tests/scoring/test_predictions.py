"""Predictions of other programs are read as they mean them, and compared like stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from dispr_cli.errors import ConfigError, DisprError, StoreError
from dispr_cli.evaluation import evaluate
from dispr_cli.volumes.other_arrays import open_other_array
from tests.scoring.stores import RADII, around, ball, make_store, write_truths

CELLS = list(RADII)
FIRST = CELLS[0]


@pytest.fixture(scope="module")
def truths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_truths(tmp_path_factory.mktemp("truths"))


def scores(found: Any, method: str, score: str = "iou") -> float:
    return float(found.summaries[method].summaries[score]["all"].mean)


def test_a_folder_scores_as_the_store_of_the_same_volumes(tmp_path: Path, truths: Path) -> None:
    make_store(tmp_path / "ours.zarr", around(-1.0, 0.0, 1.0), method="ours")
    alone, numbered, four = (tmp_path / name for name in ("alone", "numbered", "four"))
    for name, radius in RADII.items():
        volumes = [ball(radius + offset) for offset in (-1.0, 0.0, 1.0)]
        for folder in (alone, numbered, four):
            folder.mkdir(exist_ok=True)
        tifffile.imwrite(alone / f"{name}.tif", volumes[1])
        for number, volume in enumerate(volumes):
            tifffile.imwrite(numbered / f"{name}_{number}.tif", volume)
        np.save(four / f"{name}.npy", np.stack(volumes))
    sources = [tmp_path / "ours.zarr", f"one={alone}", f"three={numbered}", f"npy={four}"]
    found = evaluate(sources, truths, figures=False)
    assert [method.name for method in found.match.methods] == ["ours", "one", "three", "npy"]
    assert len(found.classes) == 4
    assert found.micrometres
    for method in ("three", "npy"):
        assert found.scores[method][FIRST].samples == found.scores["ours"][FIRST].samples
        assert scores(found, method, "ged_squared") == scores(found, "ours", "ged_squared")
    assert scores(found, "one") == 1.0
    assert found.learning["one"].counts()["unknown"] == 4


def test_predictions_need_no_store_beside_them(tmp_path: Path, truths: Path) -> None:
    for name, radius in RADII.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", (ball(radius) > 127).astype(np.uint8))
    tifffile.imwrite(tmp_path / "stranger_5.tif", ball(5))
    found = evaluate(tmp_path, truths, figures=False, out=tmp_path.parent / "out", never_seen=[tmp_path.name])
    assert scores(found, tmp_path.name) > 0.99
    assert [(item.cell, item.reason) for item in found.left_out] == [
        ("stranger_5", f"no ground truth in {truths}")
    ]
    assert found.warnings() == []


def test_an_empty_prediction_counts_and_a_strange_one_is_told(tmp_path: Path, truths: Path) -> None:
    for name, radius in RADII.items():
        np.save(tmp_path / f"{name}.npy", ball(radius) * (name != FIRST))
    np.save(tmp_path / f"{CELLS[1]}.npy", ball(9).astype(np.int32) * 7)
    np.save(tmp_path / f"{CELLS[2]}.npy", ball(9)[:40])
    found = evaluate(tmp_path, truths, figures=False, out=tmp_path.parent / "strange")
    (method,) = found.summaries
    assert found.scores[method][FIRST].samples[0]["iou"] == 0
    assert found.scores[method][FIRST].samples[0]["empty"] == 1
    reasons = {item.cell: item.reason for item in found.broken}
    assert "has values up to 1785 (int32); expected 0 outside" in reasons[CELLS[1]]
    assert "has 40 x 64 x 64 voxels, expected 64 x 64 x 64" in reasons[CELLS[2]]


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("as_array", [False, True])
def test_a_faint_volume_is_read_as_the_others_of_its_method(
    tmp_path: Path, truths: Path, kind: type, as_array: bool
) -> None:
    """Alone a haze of ones would be a mask, or certain probabilities; among occupancies it is nothing."""
    path = tmp_path / "soft.zarr"
    volumes = {name: ball(radius).astype(kind) for name, radius in RADII.items()}
    volumes[FIRST] = (ball(20) > 127).astype(kind)
    if as_array:
        array = zarr.create_array(path, data=np.stack(list(volumes.values())), chunks=(1, 64, 64, 64))
        array.attrs["names"] = CELLS
    else:
        path = tmp_path / "soft"
        path.mkdir()
        for name, volume in volumes.items():
            np.save(path / f"{name}.npy", volume)
    found = evaluate(path, truths, figures=False)
    assert found.scores["soft"][FIRST].samples[0]["empty"] == 1
    assert found.scores["soft"][CELLS[1]].samples[0]["iou"] == 1


def test_percentages_are_told(tmp_path: Path, truths: Path) -> None:
    for name, radius in RADII.items():
        np.save(tmp_path / f"{name}.npy", ball(radius) / np.float32(2.55))
    with pytest.raises(DisprError, match=r"values up to 100 \(float32\).* scale or threshold"):
        evaluate(tmp_path, truths, figures=False)


def test_on_the_grid_of_their_truths_they_are_laid_like_these(tmp_path: Path) -> None:
    # Truths and predictions have the planes of the image, 60 x 60, and voxels twice as deep.
    shape, sides = (32, 60, 60), (2.0, 1.0, 1.0)
    make_store(tmp_path / "ours.zarr", {FIRST: [8.0]}, method="ours")
    for folder in ("obj", "mine"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        np.save(tmp_path / "data" / folder / f"{FIRST}.npy", ball(8.0, (15.5, 29.5, 29.5), shape, sides))
    sizes = {"truth_voxel_size_um": (0.344, 0.172, 0.172)}
    sources = [tmp_path / "ours.zarr", f"mine={tmp_path / 'data' / 'mine'}"]
    found = evaluate(sources, tmp_path / "data" / "obj", figures=False, **sizes)  # type: ignore[arg-type]
    assert found.broken == ()
    assert scores(found, "mine") == 1.0
    assert scores(found, "ours") > 0.9


def test_exports_of_ours_come_back_unchanged(tmp_path: Path, truths: Path) -> None:
    store = make_store(tmp_path / "ours.zarr", around(-1.0, 0.5), method="ours")
    folder = tmp_path / "exported"
    folder.mkdir()
    for name in CELLS:
        np.save(folder / f"{name}.npy", store.read(name))
    found = evaluate([store.path, f"back={folder}"], truths, figures=False)
    assert found.scores["back"][FIRST].samples == found.scores["ours"][FIRST].samples


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("where", ["names.txt", "cells.csv", "attribute"])
def test_zarr_arrays_with_names(tmp_path: Path, truths: Path, version: int, where: str) -> None:
    path = tmp_path / "theirs.zarr"
    volumes = np.stack([np.stack([ball(radius), ball(radius - 1)]) for radius in RADII.values()])
    array = zarr.create_array(path, data=volumes, chunks=(1, 1, 64, 64, 64), zarr_format=version)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"says nowhere which cells.*names\.txt"):
        open_other_array(path)
    if where == "attribute":
        array.attrs["names"] = CELLS
    else:
        head = "" if where == "names.txt" else "name\n"
        (path / where).write_text(head + "".join(f"{name}\n" for name in CELLS))
    found = evaluate(path, truths, figures=False)
    assert scores(found, "theirs", "best_iou") == 1.0
    assert found.match.methods[0].store.num_samples == 2


def test_ome_zarr_knows_its_voxels_and_one_sample_needs_no_axis(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "image", zarr_format=3)
    group.create_array("s0", data=np.stack([ball(8), ball(9)]), chunks=(1, 64, 64, 64))
    axes = [{"name": "t"}, *({"name": name, "unit": "micrometer"} for name in "zyx")]
    level = {"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": [1, 0.3, 0.2, 0.2]}]}
    group.attrs.update({"ome": {"multiscales": [{"axes": axes, "datasets": [level]}]}, "names": ["a", "b"]})
    found = open_other_array(tmp_path / "image")
    assert (found.names, found.num_samples, found.voxel_size_um) == (("a", "b"), 1, (0.3, 0.2, 0.2))
    np.testing.assert_array_equal(found.read(1), ball(9)[None])


def test_arrays_that_cannot_be_cells(tmp_path: Path) -> None:
    flat = zarr.create_array(tmp_path / "flat", data=np.zeros((3, 4, 5)))
    flat.attrs["names"] = ["a", "b", "c"]
    with pytest.raises(StoreError, match=r"has shape \(3, 4, 5\)"):
        open_other_array(tmp_path / "flat")
    for names, words in ((["a"], "2 cells, and its attribute 'names' has 1"), (["a", "a"], "'a' twice")):
        path = tmp_path / f"{len(set(names))}{len(names)}"
        zarr.create_array(path, data=np.zeros((2, 4, 4, 4))).attrs["names"] = names
        with pytest.raises(StoreError, match=words):
            open_other_array(path)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "zarr.json").write_text("{")
    with pytest.raises(DisprError, match="cannot be read as a Zarr array"):
        evaluate(tmp_path / "torn", write_truths(tmp_path / "truths"), figures=False)


def test_names_are_given_in_one_way(tmp_path: Path, truths: Path) -> None:
    store = make_store(tmp_path / "a=b.zarr", around(0.0), method="ours").path
    assert [m.name for m in evaluate(store, truths, figures=False).match.methods] == ["ours"]
    found = evaluate([f"mine={store}", store], truths, figures=False)
    assert [method.name for method in found.match.methods] == ["mine", "ours"]
    with pytest.raises(ConfigError, match="NAME=PATH and by --name"):
        evaluate([f"mine={store}", store], truths, names=["a", "b"], figures=False)
