"""Exports are read again by other programs' libraries and must show the same cell at the same scale."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import trimesh
from numpy.typing import NDArray

from dispr_cli.errors import ConfigError, StoreError
from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.export import FORMATS, export_cell
from dispr_cli.volumes.rows import CellRow
from dispr_cli.volumes.store import VolumeStore

MESHES = ("stl", "ply", "glb")


def _load(path: Path) -> trimesh.Trimesh:
    mesh = trimesh.load(path, force="mesh")
    mesh.merge_vertices(merge_norm=True)  # STL knows no shared vertices
    return mesh


def _store_of(
    path: Path, volume: NDArray[np.uint8], voxel_size_um: float | None, name: str = "a"
) -> VolumeStore:
    store = create_or_resume(
        path, num_cells=1, num_samples=1, voxel_size_um=voxel_size_um, configuration={}, cells=[name]
    )
    store.write_shard(0, volume[np.newaxis, np.newaxis], [CellRow(name)])
    return store


@pytest.mark.parametrize("file_format", MESHES)
def test_mesh_is_closed_and_has_the_volume_in_micrometres(
    full_store: VolumeStore, tmp_path: Path, file_format: str
) -> None:
    (path,) = export_cell(full_store, "cell 3.tif", tmp_path / f"a.{file_format}", file_format, sample=1)
    mesh = _load(path)
    voxels = (full_store.read(3, 1) >= 128).sum()
    assert path == tmp_path / f"a.{file_format}"
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume == pytest.approx(voxels * 0.25**3, rel=0.01)
    # The conftest's balls lie at (z, y, x) = (30, 32, 33).
    assert mesh.center_mass == pytest.approx(np.array([33, 32, 30]) * 0.25, abs=0.02)


def test_mesh_of_an_asymmetric_cell_is_not_mirrored(tmp_path: Path) -> None:
    volume = np.zeros((64, 64, 64), np.uint8)
    volume[10:14, 20:30, 5:45] = 255
    (path,) = export_cell(_store_of(tmp_path / "a.zarr", volume, None), 0, tmp_path, "ply")
    assert _load(path).bounds == pytest.approx(np.array([[4.5, 19.5, 9.5], [44.5, 29.5, 13.5]]))


@pytest.mark.parametrize("file_format", MESHES)
def test_cell_at_the_border_of_the_grid_is_closed(tmp_path: Path, file_format: str) -> None:
    volume = np.full((64, 64, 64), 255, np.uint8)
    (path,) = export_cell(_store_of(tmp_path / "a.zarr", volume, None), 0, tmp_path, file_format)
    mesh = _load(path)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(64**3, rel=0.01)


def test_mesh_of_the_mean_is_the_vote(full_store: VolumeStore, tmp_path: Path) -> None:
    (path,) = export_cell(full_store, 2, tmp_path, "stl")
    assert path.name.endswith("_mean.stl")
    mean = full_store.read(2).mean(axis=0)
    assert _load(path).volume == pytest.approx((mean > 127.5).sum() * 0.25**3, rel=0.02)


def test_meshes_of_all_samples_stand_in_files_of_their_own(full_store: VolumeStore, tmp_path: Path) -> None:
    paths = export_cell(full_store, 2, tmp_path / "x.glb", "glb", sample="all")
    assert [path.name for path in paths] == ["x_sample0.glb", "x_sample1.glb"]
    assert _load(paths[1]).volume > _load(paths[0]).volume


def test_ome_tiff_has_axes_sizes_and_samples_as_channels(full_store: VolumeStore, tmp_path: Path) -> None:
    (path,) = export_cell(full_store, "cell 5.tif", tmp_path / "new folder", "ome-tiff")
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        assert file.series[0].axes == "CZYX"
        assert np.array_equal(file.asarray(), full_store.read(5))
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
    assert [pixels[f"PhysicalSize{axis}"] for axis in "XYZ"] == [0.25] * 3
    assert [pixels[f"PhysicalSize{axis}Unit"] for axis in "XYZ"] == ["µm"] * 3
    assert [channel["Name"] for channel in pixels["Channel"]] == ["sample 0", "sample 1"]


def test_ome_tiff_of_one_volume_without_known_size(
    tmp_path: Path, settings: dict[str, Any], fill: Callable[..., None]
) -> None:
    store = create_or_resume(tmp_path / "out.zarr", **{**settings, "voxel_size_um": None})
    fill(store)
    (path,) = export_cell(store, 0, tmp_path / "mean.tif", "ome-tiff", sample="mean")
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == "ZYX"
        assert file.series[0].shape == (64, 64, 64)
        assert "PhysicalSize" not in file.ome_metadata
        assert 'Name="mean"' in file.ome_metadata


def test_npy_is_the_array(full_store: VolumeStore, tmp_path: Path) -> None:
    (every,) = export_cell(full_store, 0, tmp_path / "all.npy", "npy")
    (one,) = export_cell(full_store, 0, tmp_path / "one.npy", "npy", sample=1)
    assert np.array_equal(np.load(every), full_store.read(0))
    assert np.array_equal(np.load(one), full_store.read(0, 1))


@pytest.mark.parametrize("file_format", FORMATS)
def test_hostile_name_stays_in_the_folder(tmp_path: Path, file_format: str) -> None:
    volume = np.zeros((64, 64, 64), np.uint8)
    volume[20:40, 20:40, 20:40] = 255
    store = _store_of(tmp_path / "a.zarr", volume, None, name="../../\x00evil\u202e<b>.tif")
    (path,) = export_cell(store, 0, tmp_path / "out", file_format)
    assert path.parent == tmp_path / "out"
    assert path.is_file()


def test_unknown_format_and_wrong_ending(full_store: VolumeStore, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="unknown format 'obj': expected one of ome-tiff, stl, ply, glb, npy"
    ):
        export_cell(full_store, 0, tmp_path, "obj")
    with pytest.raises(
        ConfigError, match=r"a.tif does not end like the format stl: expected .stl, or a folder"
    ):
        export_cell(full_store, 0, tmp_path / "a.tif", "stl")
    (path,) = export_cell(full_store, 0, tmp_path / "results.v2", "npy", sample=0)
    assert path.parent == tmp_path / "results.v2"


def test_empty_volume_has_no_mesh(tmp_path: Path) -> None:
    store = _store_of(tmp_path / "a.zarr", np.full((64, 64, 64), 127, np.uint8), None)
    with pytest.raises(StoreError, match="sample0 of cell 'a' is empty and has no surface"):
        export_cell(store, 0, tmp_path, "stl", sample=0)
    export_cell(store, 0, tmp_path, "npy", sample=0)


def test_unwritable_export(full_store: VolumeStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot write the export"):
        export_cell(full_store, 0, tmp_path / "file" / "a.npy", "npy")


@pytest.mark.parametrize("file_format", ["ome-tiff", "npy"])
def test_probability_is_the_share_of_samples(
    full_store: VolumeStore, tmp_path: Path, file_format: str
) -> None:
    (path,) = export_cell(full_store, 3, tmp_path, file_format, sample="probability")
    assert "_probability" in path.name
    found = np.load(path) if file_format == "npy" else tifffile.imread(path)
    assert found.dtype == np.float32
    assert np.array_equal(found, (full_store.read(3) > 127).mean(axis=0))
    if file_format == "ome-tiff":
        with tifffile.TiffFile(path) as file:
            assert file.series[0].axes == "ZYX"
            assert 'PhysicalSizeX="0.25"' in file.ome_metadata


def test_a_probability_has_no_surface(full_store: VolumeStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--sample mean"):
        export_cell(full_store, 3, tmp_path, "stl", sample="probability")


def _fitted_store(path: Path) -> VolumeStore:
    """Two cells of one shape, with voxel sizes of their own; that of the second is not known."""
    store = create_or_resume(
        path, num_cells=2, num_samples=1, voxel_size_um=None, configuration={}, cells=["a", "b"]
    )
    volumes = np.zeros((2, 1, 64, 64, 64), np.uint8)
    volumes[:, :, 20:40, 20:40, 20:40] = 255
    store.write_shard(0, volumes, [CellRow("a", voxel_size_um=0.5), CellRow("b")])
    return store


def test_each_cell_has_its_own_voxel_size(tmp_path: Path) -> None:
    store = _fitted_store(tmp_path / "a.zarr")
    sizes = []
    for cell in "ab":
        (path,) = export_cell(store, cell, tmp_path, "ome-tiff")
        with tifffile.TiffFile(path) as file:
            sizes.append('PhysicalSizeX="0.5"' in file.ome_metadata)
    assert sizes == [True, False]
    for file_format in MESHES:
        first, second = (_load(*export_cell(store, cell, tmp_path, file_format)) for cell in "ab")
        assert first.volume == pytest.approx(second.volume / 8, rel=1e-3)


def test_meshes_say_their_unit(tmp_path: Path) -> None:
    store = _fitted_store(tmp_path / "a.zarr")
    for cell, unit in (("a", "micrometre"), ("b", "voxel")):
        stl, ply, glb = (export_cell(store, cell, tmp_path, form)[0].read_bytes() for form in MESHES)
        assert f"unit {unit}".encode() in stl[:80]
        assert not stl.startswith(b"solid")
        assert f"comment unit {unit}, axes x y z".encode() in ply.split(b"end_header")[0].splitlines()
        tree = json.loads(glb[20 : 20 + int.from_bytes(glb[12:16], "little")])
        assert tree["asset"]["extras"] == {"unit": unit}
