"""A volume is measured in the voxel size that its own file gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from dispr_cli.inputs.settings import InputSettings
from dispr_cli.morphology.measure import measure_to_table
from dispr_cli.morphology.sources import find_shapes
from dispr_cli.morphology.table import FAILED, FeatureTable, read_table
from dispr_cli.scoring.truths import FolderTruths
from tests.morphology.test_measure import Listener, ball

RADIUS = 14
VOXELS = np.count_nonzero(ball(RADIUS) > 127)


def write_volume(path: Path, sides_um: tuple[float, float, float] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if sides_um is None:
        tifffile.imwrite(path, ball(RADIUS))
        return
    z, y, x = sides_um
    described = {"axes": "ZYX", "spacing": z, "unit": "um"}
    tifffile.imwrite(path, ball(RADIUS), imagej=True, resolution=(1 / x, 1 / y), metadata=described)


def write_cell(folder: Path, name: str, side: int = 128, pixel_um: float | None = 0.1) -> None:
    """Write image and mask of a disc, of the size that the store's grid is not."""
    y, x = np.indices((side, side)) - side / 2
    inside = (np.hypot(y, x) < side / 4).astype(np.uint8)
    known = {} if pixel_um is None else {"resolution": (1 / pixel_um,) * 2, "metadata": {"unit": "um"}}
    for part, pixels in (("image", inside * 150 + 20), ("mask", inside * 255)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / part / f"{name}.tif", pixels, imagej=True, **known)


def measured(source: Path, out: Path, **options: float) -> FeatureTable:
    measure_to_table(find_shapes(source, **options), out, threads=1, events=Listener(), overwrite=True)  # type: ignore[arg-type]
    return read_table(out)


def feature(table: FeatureTable, name: str) -> np.ndarray:
    return table.values[:, table.names.index(name)]


def test_a_truth_has_the_size_of_its_file_and_its_image_that_of_the_grid(tmp_path: Path) -> None:
    """The images lie on a grid of 0.172 um; the evaluation takes the truths' 0.25 um as well."""
    cells, out = tmp_path / "cells", tmp_path / "t.parquet"
    write_cell(cells, "a")
    write_volume(cells / "obj" / "a.tif", (0.25, 0.25, 0.25))
    table = measured(cells, out)
    assert feature(table, "volume") == pytest.approx(VOXELS * 0.25**3, rel=0.02)
    assert feature(table, "mask_area") == pytest.approx(np.pi * (128 / 4 * 0.1) ** 2, rel=0.05)
    truths = FolderTruths(cells, None)
    truths.find(["a"])
    assert truths.read("a").voxel_size_um == pytest.approx((0.25,) * 3)
    assert feature(measured(cells, out, voxel_size_um=0.172), "volume") == pytest.approx(
        VOXELS * 0.172**3, rel=0.02
    )


def test_a_file_that_says_nothing_lies_on_the_grid_of_its_cell(tmp_path: Path) -> None:
    for name, pixel_um in (("a", 0.1), ("b", 0.3)):
        write_cell(tmp_path / "cells", name, 64, pixel_um)
        write_volume(tmp_path / "cells" / "obj" / f"{name}.tif")
    table = measured(tmp_path / "cells", tmp_path / "t.parquet")
    assert table.facts.unit_of_length == "um"
    assert feature(table, "volume") == pytest.approx(VOXELS * np.array([0.1, 0.3]) ** 3, rel=0.02)


def test_sizes_that_differ_by_rounding_are_those_of_the_grid(tmp_path: Path) -> None:
    write_cell(tmp_path, "a", 64, 0.172)
    write_volume(tmp_path / "obj" / "a.tif", (0.1725, 0.171, 0.172))
    (ref,) = find_shapes(tmp_path).unit(0)
    assert ref.voxel_size_um == ref.pixel_size_um == pytest.approx(0.172, rel=1e-6)


def test_an_image_of_unknown_size_lies_on_the_grid_of_its_truth(tmp_path: Path) -> None:
    write_cell(tmp_path, "a", 64, None)
    write_volume(tmp_path / "obj" / "a.tif", (0.25, 0.25, 0.25))
    (ref,) = find_shapes(tmp_path).unit(0)
    assert ref.voxel_size_um == ref.pixel_size_um == pytest.approx(0.25)


def test_volumes_alone_know_their_sizes(tmp_path: Path) -> None:
    for name, side in (("a", 0.25), ("b", 0.5)):
        write_volume(tmp_path / f"{name}.tif", (side,) * 3)
    table = measured(tmp_path, tmp_path / "t.parquet")
    assert table.facts.unit_of_length == "um"
    assert feature(table, "volume") == pytest.approx(VOXELS * np.array([0.25, 0.5]) ** 3, rel=0.02)


def test_micrometres_and_voxels_are_not_mixed(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.tif", (0.25,) * 3)
    write_volume(tmp_path / "b.tif")
    source = find_shapes(tmp_path)
    assert source.unit_of_length == "voxel"
    assert {ref.voxel_size_um for ref in source.unit(0)} == {None}
    assert find_shapes(tmp_path, InputSettings(pixel_size_um=0.2)).unit_of_length == "um"


def test_voxels_that_are_no_cubes_are_told_and_hinder_no_other(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.tif", (0.3, 0.1, 0.1))
    write_volume(tmp_path / "b.tif", (0.25,) * 3)
    (tmp_path / "c.tif").write_bytes(b"")
    table = measured(tmp_path, tmp_path / "t.parquet")
    assert table.facts.unit_of_length == "um"
    assert str(table.statuses[0]).startswith(
        f"{FAILED}{tmp_path / 'a.tif'}: its voxels have sides of 0.3 x 0.1 x 0.1 um"
    )
    assert "--voxel-size" in str(table.statuses[0])
    assert "empty" in str(table.statuses[2])
    assert feature(table, "volume")[1] == pytest.approx(VOXELS * 0.25**3, rel=0.02)
    assert set(measured(tmp_path, tmp_path / "t.parquet", voxel_size_um=0.1).statuses[:2]) == {"measured"}
