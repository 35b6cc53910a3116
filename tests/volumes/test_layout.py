"""What other programs find in a store: valid OME-Zarr 0.5, the right voxels at the right scale."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.layout import ShardGrid
from dispr_cli.volumes.store import VolumeStore


@pytest.fixture(params=[0.25, None], ids=["micrometres", "voxels"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, settings: dict[str, Any], fill: Callable[..., None]
) -> VolumeStore:
    made = create_or_resume(tmp_path / "out.zarr", **{**settings, "voxel_size_um": request.param})
    fill(made)
    made.finish()
    return made


def test_yaozarrs_accepts_it(store: VolumeStore) -> None:
    yaozarrs = pytest.importorskip("yaozarrs", reason="yaozarrs, an oracle for OME-Zarr, is not installed")
    group = json.loads((store.path / "zarr.json").read_text())
    yaozarrs.validate_ome_object(group["attributes"]["ome"], yaozarrs.v05.Image)
    yaozarrs.validate_zarr_store(str(store.path))


def test_ome_zarr_models_accepts_it(store: VolumeStore) -> None:
    v05 = pytest.importorskip("ome_zarr_models.v05", reason="ome-zarr-models, an oracle, is not installed")
    image = v05.Image.from_zarr(zarr.open_group(store.path, mode="r"))
    scale = image.ome_attributes.multiscales[0].datasets[0].coordinateTransformations[0].scale
    assert list(scale) == [1, 1, *[store.voxel_size_um or 1.0] * 3]


def test_ome_zarr_opens_it(store: VolumeStore) -> None:
    reader = pytest.importorskip("ome_zarr.reader", reason="ome-zarr, an oracle, is not installed")
    from ome_zarr.io import parse_url

    (node,) = reader.Reader(parse_url(store.path))()
    assert np.array_equal(np.asarray(node.data[0][4]), store.read(4))
    assert [axis["name"] for axis in node.metadata["axes"]] == ["t", "c", "z", "y", "x"]


def test_units_only_where_the_voxel_size_is_known(store: VolumeStore) -> None:
    ome = json.loads((store.path / "zarr.json").read_text())["attributes"]["ome"]
    (image,) = ome["multiscales"]
    units = [axis.get("unit") for axis in image["axes"]]
    assert units == [None, None, *["micrometer" if store.voxel_size_um else None] * 3]
    windows = [channel["window"] for channel in ome["omero"]["channels"]]
    assert windows == [{"min": 0.0, "max": 255.0, "start": 0.0, "end": 255.0}] * 2
    assert len({channel["color"] for channel in ome["omero"]["channels"]}) == 2


def test_array_is_laid_out_as_promised(store: VolumeStore) -> None:
    array = zarr.open_array(store.path / "0", mode="r")
    assert array.shape == (7, 2, 64, 64, 64)
    assert array.chunks == (1, 1, 64, 64, 64)
    assert array.shards == (3, 2, 64, 64, 64)
    assert array.metadata.dimension_names == ("t", "c", "z", "y", "x")
    metadata = json.loads((store.path / "0" / "zarr.json").read_text())
    (sharding,) = metadata["codecs"]
    inner = [codec["name"] for codec in sharding["configuration"]["codecs"]]
    assert inner == ["bytes", "blosc", "crc32c"]
    assert sharding["configuration"]["codecs"][1]["configuration"]["shuffle"] == "bitshuffle"
    assert [codec["name"] for codec in sharding["configuration"]["index_codecs"]] == ["bytes", "crc32c"]


def test_shards_cover_every_cell_once() -> None:
    grid = ShardGrid(num_cells=10, num_samples=1, shard_cells=4)
    cells = [cell for shard in range(grid.num_shards) for cell in grid.cells_of(shard)]
    assert cells == list(range(10))
    assert [grid.shard_of(cell) for cell in cells] == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
