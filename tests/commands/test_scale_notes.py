"""How cells were scaled is said before and after a run, where sizes would mislead otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from dispr_cli.volumes.store import open_store
from dispr_cli.volumes.table import read_table
from tests.commands.in_process import dispr_here as dispr

UNKNOWN = "pixel size unknown: every cell was scaled to the same size, so volumes cannot be compared"


@pytest.fixture
def field(tmp_path: Path) -> Path:
    """One cell with a diameter of 40 pixels, one of 80, and one that is flat and fails when it is read."""
    y, x = np.indices((120, 200))
    small, large = np.hypot(y - 60, x - 40) < 20, np.hypot(y - 60, x - 130) < 40
    tifffile.imwrite(tmp_path / "f.tif", (20 + y % 7 + 90 * (small | large)).astype(np.uint8))
    tifffile.imwrite(tmp_path / "f_mask.tif", small + np.uint16(2) * large)
    tifffile.imwrite(tmp_path / "g.tif", np.full(y.shape, 50, np.uint8))
    tifffile.imwrite(tmp_path / "g_mask.tif", np.uint8(small))
    return tmp_path


def run(field: Path, *options: object) -> tuple[str, list[dict[str, str]]]:
    out = field / "out.zarr"
    found = dispr("reconstruct", field, out, "--method", "inflate", "--overwrite", *options)
    assert found.returncode == 1, found.stderr
    assert "1 of 3 cells failed" in found.stderr
    return found.stderr, list(read_table(out / "cells.csv"))


def test_without_a_pixel_size_volumes_are_told_in_pixels_of_the_image(field: Path) -> None:
    said, (small, large, flat) = run(field)
    assert UNKNOWN in said
    assert said.count("pixel size unknown") == 1
    assert float(small["volume_voxels_mean"]) == pytest.approx(float(large["volume_voxels_mean"]), rel=0.05)
    assert float(large["volume_px3_mean"]) == pytest.approx(8 * float(small["volume_px3_mean"]), rel=0.05)
    assert (small["scaled"], flat["scaled"], flat["voxel_size_px"]) == ("fit", "", "")
    assert "volume_um3_mean" not in small


def test_with_a_pixel_size_nothing_is_said_but_of_cells_beyond_the_field(field: Path) -> None:
    said, (small, large, _) = run(field, "--pixel-size", 0.172)
    assert "pixel size unknown" not in said
    assert "larger than the field: 1 cell is scaled down to fit" in said
    assert (small["scaled"], large["scaled"]) == ("physical", "fit")
    assert float(large["voxel_size_um"]) > float(small["voxel_size_um"]) == 0.172
    assert float(large["volume_um3_mean"]) == pytest.approx(8 * float(small["volume_um3_mean"]), rel=0.05)
    assert "volume_px3_mean" not in small
    said, _ = run(field, "--pixel-size", 0.1)
    assert "larger than the field" not in said
    said, _ = run(field, "--pixel-size", 0.172, "--scale", "fit")
    assert "larger than the field" not in said
    refused = dispr("reconstruct", field, "--dry-run", "--pixel-size", 0.172, "--scale", "physical")
    assert "the field of 64 voxels holds 10.7 um" in " ".join(refused.stdout.split())


def test_a_dry_run_counts_what_would_fail_and_says_how_cells_would_be_scaled(field: Path) -> None:
    said = dispr("reconstruct", field, "--dry-run").stdout
    assert "3 cells would be reconstructed, 0 files or labels left out" in said
    assert UNKNOWN in said
    said = dispr("reconstruct", field, "--dry-run", "--pixel-size", 0.23, "--scale", "physical").stdout
    assert "2 cells would be reconstructed, 1 would fail, 0 files or labels left out" in said
    assert "pixel size unknown" not in said
    said = dispr("reconstruct", field, "--dry-run", "--pixel-size", 0.23).stdout
    assert "3 cells would be reconstructed, 0 files" in said
    assert "larger than the field: 1 cell is scaled" in said


def test_counts_stand_in_json_too(field: Path) -> None:
    found = dispr("reconstruct", field, field / "out.zarr", "--method", "inflate", "--json")
    counts = json.loads(found.stdout)
    assert (counts["done"], counts["of_unknown_size"], counts["fitted"]) == (2, 2, 0)
    plan = json.loads(dispr("reconstruct", field, "--dry-run", "--json", "--pixel-size", 0.172).stdout)
    assert [cell["scaled"] for cell in plan["cells"]] == ["physical", "fit", "physical"]
    assert plan["cells"][0]["voxel_size_px"] == 1.0


def test_a_method_with_one_answer_gives_one_sample_without_a_spread(field: Path) -> None:
    said, (small, *_) = run(field)
    assert "3 cells, 1 sample each" in said
    assert open_store(str(field / "out.zarr")).num_samples == 1
    assert (small["volume_voxels_sd"], small["surface_voxels_sd"]) == ("", "")
    _, _ = run(field, "--quality", "high")
    assert open_store(field / "out.zarr").num_samples == 1
    _, _ = run(field, "--samples", 2)
    assert open_store(field / "out.zarr").num_samples == 2
