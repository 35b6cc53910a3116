"""What a user says about images and masks on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from dispr_cli.diffusion.checkpoint import save_denoiser
from dispr_cli.diffusion.trained_grid import TrainedGrid
from dispr_cli.volumes.store import open_store
from tests.commands.in_process import dispr_here
from tests.diffusion.tiny import make_denoiser


@pytest.fixture
def cells(phantom_folder: Path, tmp_path: Path) -> Path:
    """Three images and, elsewhere, their masks."""
    for path in sorted((phantom_folder / "image").iterdir())[:3]:
        for part, kind in (("pictures", "image"), ("outlines", "mask")):
            (tmp_path / part).mkdir(exist_ok=True)
            (tmp_path / part / path.name).write_bytes((phantom_folder / kind / path.name).read_bytes())
    return tmp_path


def dry_run(*arguments: object) -> dict[str, list[dict[str, str]]]:
    result = dispr_here("reconstruct", *arguments, "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_masks_elsewhere(cells: Path) -> None:
    found = dry_run(cells / "pictures", "--masks", cells / "outlines")
    assert [Path(cell["mask"]).parent.name for cell in found["cells"]] == ["outlines"] * 3
    result = dispr_here("reconstruct", cells / "pictures", "--dry-run")
    assert result.returncode == 2
    assert "--masks or a manifest" in result.stderr


def test_what_a_shell_makes_of_a_glob(cells: Path) -> None:
    images = sorted((cells / "pictures").iterdir())
    result = dispr_here("reconstruct", *images, cells / "out.zarr", "--samples", 1)
    assert result.returncode == 2
    assert f"4 files or folders were given ({images[0]} ... {cells / 'out.zarr'})" in result.stderr
    assert "give the folder, or a manifest" in result.stderr
    assert not (cells / "out.zarr").exists()


def test_notes_and_fields_without_cells(cells: Path, tiny_weights: Path) -> None:
    names = [path.name for path in sorted((cells / "outlines").iterdir())]
    tifffile.imwrite(cells / "outlines" / names[0], np.zeros((64, 64), np.uint8))
    table = cells / "table.csv"
    rows = "".join(f"pictures/{name},outlines/{name},B2\n" for name in names)
    table.write_text(f"image,mask,well\n{rows}")
    found = dry_run(table)
    assert len(found["cells"]) == 2
    assert [item["reason"] for item in found["left_out"]] == ["no cells in this mask (all values are 0)"]
    assert "column(s) not read: well" in found["notes"][0]["note"]
    plain = dispr_here("reconstruct", table, "--dry-run").stdout
    assert f"note: {table}: column(s) not read: well" in plain
    options = ("--samples", 1, "--steps", 1, "--weights", tiny_weights)
    result = dispr_here("reconstruct", table, cells / "out.zarr", *options)
    assert result.returncode == 0, result.stderr
    assert f"Note: {table}: column(s) not read: well" in result.stderr
    assert "no cells in this mask" in result.stderr


def test_invert_and_plane_are_part_of_a_store(cells: Path, tiny_weights: Path) -> None:
    run = ("reconstruct", cells / "pictures", cells / "out.zarr", "--masks", cells / "outlines")
    run += ("--samples", 1, "--steps", 1, "--weights", tiny_weights)
    result = dispr_here(*run, "--invert", "--plane", "middle")
    assert result.returncode == 0, result.stderr
    inputs = open_store(cells / "out.zarr").configuration["inputs"]
    assert inputs["invert"] is True
    assert inputs["plane"] == "middle"
    other = dispr_here(*run, "--plane", "middle")
    assert other.returncode == 2
    assert "invert" in other.stderr


def test_a_projection_is_refused(cells: Path) -> None:
    result = dispr_here("reconstruct", cells / "pictures", "--plane", "max", "--dry-run")
    assert result.returncode == 2
    assert "a projection shows all planes at once" in result.stderr


def test_own_weights_bring_their_voxel_size(cells: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    grid = TrainedGrid.of((0.11, 0.11))
    assert grid is not None
    save_denoiser(own, make_denoiser(), {"grid": grid.as_json()})
    run = ("reconstruct", cells / "pictures", cells / "out.zarr", "--masks", cells / "outlines")
    run += ("--samples", 1, "--steps", 1, "--weights", own, "--pixel-size", 0.11)
    result = dispr_here(*run)
    assert result.returncode == 0, result.stderr
    assert "cells are read at 0.11 um" in result.stderr
    store = open_store(cells / "out.zarr")
    assert store.voxel_size_um == 0.11
    assert [row.scaled for row in store.cells] == ["verbatim"] * 3
    assert store.configuration["inputs"]["grid_voxel_size_um"] == 0.11
    assert "cells are read at" not in dispr_here(*run, "--quiet").stderr
    asked = dispr_here(*run, "--grid-voxel-size", 0.2, "--overwrite")
    assert "cells are read at 0.2 um, as --grid-voxel-size says" in asked.stderr
    assert open_store(cells / "out.zarr").voxel_size_um == 0.2
