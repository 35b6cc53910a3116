"""Shapes of a store beside the images it was made from: read as they were, each in its own voxel size."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from dispr_cli.errors import CellError, InputError
from dispr_cli.inputs.cell import Cell
from dispr_cli.inputs.plan import plan_cells, read_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.morphology.shape_ref import ShapeRef
from dispr_cli.morphology.sources import find_shapes
from dispr_cli.pipeline import reconstruct_to_store
from dispr_cli.volumes.store import VolumeStore
from tests.scripted_method import ScriptedMethod

FITTED = InputSettings(channel=1, pixel_size_um=0.1, scale="fit")
RADII = {"f#1": 12, "f#2": 20, "f#3": 26}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three cells of different sizes in the second of two channels."""
    folder = tmp_path / "images"
    folder.mkdir()
    y, x = np.indices((90, 220))
    labels = np.zeros(y.shape, np.uint16)
    for label, (centre, radius) in enumerate(zip((30, 90, 170), RADII.values(), strict=True)):
        labels[np.hypot(y - 45, x - centre) < radius] = label + 1
    channels = np.stack([x % 5, 20 + y % 7 + 100 * (labels > 0)]).astype(np.uint8)
    tifffile.imwrite(folder / "f.tif", channels, imagej=True, metadata={"axes": "CYX"})
    tifffile.imwrite(folder / "f_mask.tif", labels)
    return folder


def reconstructed(images: Path, inputs: InputSettings) -> VolumeStore:
    store, progress = reconstruct_to_store(
        plan_cells(images, inputs),
        images.with_name("out.zarr"),
        ScriptedMethod(),
        inputs=inputs,
        num_samples=2,
        seed=0,
        cells_at_once=2,
    )
    assert progress.done == 3
    return store


def all_refs(path: Path, images: Path | None = None, said: float | None = None) -> list[ShapeRef]:
    source = find_shapes(path, images=images, voxel_size_um=said)
    return [ref for unit in range(source.num_units) for ref in source.unit(unit)]


def test_images_are_read_as_they_were_for_the_store(images: Path) -> None:
    store = reconstructed(images, FITTED)
    plan = plan_cells(images, FITTED)
    cells = {cell.name: cell for _, cell in read_cells(plan.cells, FITTED) if isinstance(cell, Cell)}
    refs = all_refs(store.path, images)
    assert len(refs) == 6
    for ref in refs:
        assert ref.read_cell is not None
        cell = ref.read_cell()
        assert np.array_equal(cell.image, cells[ref.cell].image)
        assert np.array_equal(cell.mask, cells[ref.cell].mask)


def test_masks_may_lie_elsewhere(images: Path, tmp_path: Path) -> None:
    store = reconstructed(images, FITTED)
    elsewhere = tmp_path / "masks"
    elsewhere.mkdir()
    (images / "f_mask.tif").rename(elsewhere / "f.tif")
    with pytest.raises(InputError, match="mask"):
        all_refs(store.path, images)
    source = find_shapes(store.path, images=images, masks=elsewhere)
    assert all(ref.read_cell is not None for unit in range(source.num_units) for ref in source.unit(unit))


def test_each_shape_is_measured_in_its_own_voxel_size(images: Path) -> None:
    store = reconstructed(images, FITTED)
    assert store.voxel_size_um is None
    source = find_shapes(store.path)
    assert source.unit_of_length == "um"
    refs = all_refs(store.path)
    sizes = {ref.cell: ref.voxel_size_um for ref in refs}
    assert sizes == {row.name: row.voxel_size_um for row in store.cells}
    for ref in refs:
        assert ref.voxel_size_um is not None
        area = np.count_nonzero(ref.read()[32]) * ref.voxel_size_um**2
        assert area == pytest.approx(np.pi * (0.1 * RADII[ref.cell]) ** 2, rel=0.05)


def test_a_voxel_size_that_is_given_is_no_pixel_size(images: Path) -> None:
    store = reconstructed(images, FITTED)
    refs = all_refs(store.path, images, said=0.5)
    assert {ref.voxel_size_um for ref in refs} == {0.5}
    assert refs[0].read_cell is not None
    assert refs[0].read_cell().voxel_size_um == store.cells[0].voxel_size_um
    assert find_shapes(store.path, voxel_size_um=0.5).fingerprint() != find_shapes(store.path).fingerprint()


def test_units_are_never_mixed(images: Path) -> None:
    store = reconstructed(images, InputSettings(channel=1))
    source = find_shapes(store.path)
    assert source.unit_of_length == "voxel"
    assert {ref.voxel_size_um for ref in all_refs(store.path)} == {None}


def test_other_images_are_refused(images: Path, tmp_path: Path) -> None:
    store = reconstructed(images, FITTED)
    other = tmp_path / "other"
    shutil.copytree(images, other)
    mask = tifffile.imread(other / "f_mask.tif")
    tifffile.imwrite(other / "f_mask.tif", np.roll(mask, 3, axis=1))
    with pytest.raises(
        InputError, match=r"has in other places of their images 3 of the cells .*f#1, f#2, f#3"
    ):
        find_shapes(store.path, images=other)
    tifffile.imwrite(other / "f_mask.tif", np.where(mask == 2, 0, mask))
    with pytest.raises(InputError, match=r"other: lacks 1 of the cells of .*out.zarr \(f#2\)"):
        find_shapes(store.path, images=other)
    tifffile.imwrite(other / "f_mask.tif", mask)
    pixels = tifffile.imread(other / "f.tif")
    tifffile.imwrite(other / "f.tif", 255 - pixels, imagej=True, metadata={"axes": "CYX"})
    (first, *_) = all_refs(store.path, other)
    assert first.read_cell is not None
    with pytest.raises(CellError, match="not those that the cell was reconstructed from"):
        first.read_cell()
