"""Images have one name in a store, whatever folder a run is started in and however its source is typed."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from dispr_cli.inputs.plan import plan_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.pipeline import reconstruct_to_store
from dispr_cli.scale.file_names import named_from, source_folder
from dispr_cli.scale.parts import WHOLE, Part
from dispr_cli.volumes.store import open_store
from tests.scripted_method import ScriptedMethod


def run(source: Path, out: Path, part: Part = WHOLE) -> None:
    plan = plan_cells(source)
    options = {"inputs": InputSettings(), "num_samples": 1, "seed": 0, "cells_at_once": 2, "part": part}
    reconstruct_to_store(plan, out, ScriptedMethod(), **options)  # type: ignore[arg-type]


def test_parts_that_name_the_source_differently_name_images_alike(
    phantom_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "cells", tmp_path / "out.zarr"
    shutil.copytree(phantom_folder, source)
    monkeypatch.chdir(tmp_path)
    run(Path("cells"), out, Part(1, 2))
    monkeypatch.chdir(source / "image")
    run(Path(".."), out, Part(2, 2))
    store = open_store(out)
    expected = [f"image/{path.name}" for path in sorted((source / "image").iterdir())]
    assert [row.source for row in store.cells] == expected
    with (out / "cells.csv").open() as table:
        assert [row["source"] for row in csv.DictReader(table)] == expected
    assert store.provenance["source"] == str(source)
    assert all((Path(store.provenance["folder"]) / row.source).is_file() for row in store.cells)
    source.rename(tmp_path / "moved")
    run(tmp_path / "moved", tmp_path / "moved.zarr")
    assert [row.source for row in open_store(tmp_path / "moved.zarr").cells] == expected


def test_a_manifest_names_from_its_folder_and_what_lies_elsewhere_from_the_root(
    phantom_folder: Path, tmp_path: Path
) -> None:
    first, second = sorted((phantom_folder / "image").iterdir())[:2]
    (tmp_path / "near").mkdir()
    for part in ("image", "mask"):
        shutil.copy(phantom_folder / part / first.name, tmp_path / "near" / f"{part}.tif")
    manifest = tmp_path / "cells.csv"
    far = f"{second},{phantom_folder / 'mask' / second.name}"
    manifest.write_text(f"image,mask,name\nnear/image.tif,near/mask.tif,near\n{far},far\n")
    run(manifest, tmp_path / "out.zarr")
    store = open_store(tmp_path / "out.zarr")
    assert {row.name: row.source for row in store.cells} == {"near": "near/image.tif", "far": str(second)}
    assert store.provenance["source"] == str(manifest)
    assert store.provenance["folder"] == str(tmp_path)


def test_names_without_a_source_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_folder(None) is None
    assert named_from(None, Path("a/../b.tif")) == str(tmp_path / "b.tif")
