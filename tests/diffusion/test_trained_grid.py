"""Weights know the voxel size they were trained on, and new cells come onto the same grid."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from dispr_cli.diffusion.checkpoint import load_denoiser, save_denoiser
from dispr_cli.diffusion.dataset import TrainingCells, join_cells
from dispr_cli.diffusion.folder import read_training_cells
from dispr_cli.diffusion.grid_choice import choose_grid
from dispr_cli.diffusion.trained_grid import TrainedGrid, grid_of_weights
from dispr_cli.inputs.plan import plan_cells, read_cell
from dispr_cli.inputs.settings import InputSettings
from tests.diffusion.tiny import make_denoiser


def with_pixel_size(folder: Path, out: Path, size_um: float | None, parts: tuple[str, ...]) -> Path:
    """The same cells, whose images say how large a pixel is."""
    for part in parts:
        (out / part).mkdir(parents=True)
        for path in sorted((folder / part).iterdir()):
            if part == "image" and size_um is not None:
                options = {"imagej": True, "resolution": (1 / size_um,) * 2, "metadata": {"unit": "um"}}
                tifffile.imwrite(out / part / path.name, tifffile.imread(path), **options)
            else:
                shutil.copy(path, out / part / path.name)
    return out


def weights_of(cells: TrainingCells, path: Path) -> Path:
    grid = TrainedGrid.of(cells.voxel_sizes_um)
    save_denoiser(path, make_denoiser(), {"grid": None if grid is None else grid.as_json()})
    return path


def test_the_same_image_comes_onto_the_grid_it_was_trained_on(phantom_folder: Path, tmp_path: Path) -> None:
    data = with_pixel_size(phantom_folder, tmp_path / "data", 0.11, ("image", "mask", "obj"))
    new = with_pixel_size(phantom_folder, tmp_path / "new", 0.11, ("image", "mask"))
    cells = read_training_cells(data)
    weights = weights_of(cells, tmp_path / "own.safetensors")
    assert load_denoiser(weights).provenance["grid"]["voxel_size_um"] == pytest.approx(0.11, rel=1e-4)

    choice = choose_grid(weights, None)
    settings = InputSettings(grid_voxel_size_um=choice.voxel_size_um)
    refs = plan_cells(new, settings).cells
    for index, ref in enumerate(refs):
        cell = read_cell(ref, settings)
        assert np.array_equal(cell.mask, cells.cell(index).mask)
        assert np.abs(cell.image - cells.cell(index).image).max() < 1 / 255
    assert "cells are read at 0.11 um, the voxel size that the weights" in (choice.sentence_about(refs) or "")
    # With the shipped weights they lie on their grid, as ever.
    default = choose_grid(None, None)
    assert (default.voxel_size_um, default.sentence_about(refs)) == (0.172, None)
    on_theirs = plan_cells(new, InputSettings()).cells[0]
    assert (on_theirs.scaled, on_theirs.voxel_size_um) == ("physical", 0.172)


def test_an_option_wins_and_what_is_not_known_is_said(phantom_folder: Path, tmp_path: Path) -> None:
    sized = with_pixel_size(phantom_folder, tmp_path / "new", 0.11, ("image", "mask"))
    refs = plan_cells(sized).cells

    def said(sizes: tuple[float | None, ...], asked: float | None = None) -> tuple[float, str]:
        cells = read_training_cells(phantom_folder).select(np.arange(len(sizes)))
        sized = TrainingCells(cells.names, cells.distance, cells.outline, cells.image, sizes)
        choice = choose_grid(weights_of(sized, tmp_path / "own.safetensors"), asked)
        return choice.voxel_size_um, choice.sentence_about(refs) or ""

    assert said((0.2, 0.2), 0.1) == (
        0.1,
        "cells are read at 0.1 um, as --grid-voxel-size says; the weights were trained on voxels of 0.2 um",
    )
    size, text = said((0.2, 0.3, None))
    assert size == 0.172
    assert "trained on voxels of 0.2 to 0.3 um and of unknown size: cells are read at 0.172 um" in text
    assert "--grid-voxel-size" in text
    assert "voxels of unknown size" in said((None, None))[1]
    assert said((0.2, 0.2001))[0] == pytest.approx(0.20005)
    # Images of unknown pixel size lie on no known grid either way.
    choice = choose_grid(weights_of(read_training_cells(phantom_folder), tmp_path / "own.safetensors"), None)
    assert choice.sentence_about(plan_cells(phantom_folder).cells) is None


def test_folds_agree_or_are_several_and_old_weights_say_nothing(
    phantom_folder: Path, tmp_path: Path, tiny_weights: Path
) -> None:
    cells = read_training_cells(phantom_folder).select(np.arange(2))
    for fold, size in enumerate((0.11, 0.11, 0.2)):
        sized = TrainingCells(cells.names, cells.distance, cells.outline, cells.image, (size, size))
        weights_of(sized, tmp_path / f"fold{fold}.safetensors")
        if fold == 1:
            assert choose_grid(tmp_path, None).voxel_size_um == 0.11
    assert choose_grid(tmp_path, None).voxel_size_um == 0.172
    assert grid_of_weights(tiny_weights) is None
    assert grid_of_weights(tmp_path / "missing.safetensors") is None
    (tmp_path / "bad.safetensors").write_bytes(b"\x00" * 40)
    assert grid_of_weights(tmp_path / "bad.safetensors") is None
    save_denoiser(tmp_path / "odd.safetensors", make_denoiser(), {"grid": {"smallest_um": -1}})
    assert grid_of_weights(tmp_path / "odd.safetensors") is None


def test_voxel_sizes_stay_with_their_cells(phantom_folder: Path) -> None:
    cells = read_training_cells(phantom_folder)
    assert cells.voxel_sizes_um == (None,) * 7
    sized = TrainingCells(cells.names, cells.distance, cells.outline, cells.image, (*[0.1] * 6, 0.3))
    assert sized.select(np.array([6, 0])).voxel_sizes_um == (0.3, 0.1)
    assert join_cells([sized, sized]).voxel_sizes_um == sized.voxel_sizes_um * 2
    unrecorded = TrainingCells(cells.names, cells.distance, cells.outline, cells.image)
    assert join_cells([sized, unrecorded]).voxel_sizes_um == ()
    assert TrainedGrid.of(unrecorded.voxel_sizes_um) is None


def test_a_cell_scaled_into_the_field_stands_for_the_grid_of_the_others(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:200, :200]
    disc = (rows - 100) ** 2 + (columns - 100) ** 2 < 80**2
    for part in ("image", "mask", "obj"):
        (tmp_path / part).mkdir()
    tifffile.imwrite(tmp_path / "image" / "a.tif", (disc * 200).astype(np.uint8))
    tifffile.imwrite(tmp_path / "mask" / "a.tif", (disc * 255).astype(np.uint8))
    small = np.zeros((64, 64, 64), np.uint8)
    y, x = np.mgrid[:64, :64]
    small[20:44] = 255 * ((y - 31.5) ** 2 + (x - 31.5) ** 2 < 20**2)
    tifffile.imwrite(tmp_path / "obj" / "a.tif", small, metadata={"axes": "ZYX"})
    # 24 um across, in a field of 10.7 um.
    cells = read_training_cells(tmp_path, InputSettings(pixel_size_um=0.15))
    assert cells.voxel_sizes_um == (0.172,)
