"""A store is only continued with the pixels it was begun with, whoever continues it and wherever it lies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from dispr_cli.errors import StoreError
from dispr_cli.inputs import plan as planning
from dispr_cli.inputs.plan import plan_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.pipeline import reconstruct_to_store
from dispr_cli.scale import run as running
from dispr_cli.scale.parts import WHOLE, Part
from dispr_cli.volumes.cells import Progress
from dispr_cli.volumes.layout import row_file, stamp_file
from dispr_cli.volumes.store import VolumeStore
from dispr_cli.volumes.verify import verify_store
from tests.commands.in_process import dispr_here as dispr
from tests.scripted_method import ScriptedMethod

INPUTS = InputSettings()


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """One image with six cells, which lie in two shards, and one image with one cell."""
    return draw(tmp_path / "day1", seed=1)


def draw(folder: Path, seed: int) -> Path:
    folder.mkdir()
    noise = np.random.default_rng(seed).integers(0, 40, (100, 150))
    y, x = np.indices(noise.shape)
    labels = np.zeros(noise.shape, np.uint16)
    for cell in range(6):
        labels[np.hypot(y - 25 - 50 * (cell // 3), x - 25 - 50 * (cell % 3)) < 14 + cell] = cell + 1
    tifffile.imwrite(folder / "f.tif", (noise + 100 * (labels > 0)).astype(np.uint8))
    tifffile.imwrite(folder / "f_mask.tif", labels)
    tifffile.imwrite(folder / "g.tif", (noise + 100 * (labels == 2)).astype(np.uint8))
    tifffile.imwrite(folder / "g_mask.tif", np.uint8(labels == 2))
    return folder


def run(source: Path, out: Path, part: Part = WHOLE) -> tuple[VolumeStore, Progress]:
    plan = plan_cells(source, INPUTS)
    return reconstruct_to_store(
        plan, out, ScriptedMethod(), inputs=INPUTS, num_samples=1, seed=0, cells_at_once=2, part=part
    )


def test_a_store_is_not_continued_by_another_version(
    day: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.zarr"
    run(day, out, Part(1, 2))
    before = content(out)
    with monkeypatch.context() as other:
        other.setattr(running, "__version__", "9.9.9")
        for part in (Part(2, 2), WHOLE):
            with pytest.raises(
                StoreError, match=r"begun by dispr 0\.1\.0, this is dispr 9\.9\.9.*another output"
            ):
                run(day, out, part)
        assert content(out) == before
        # Nothing is added where nothing is pending.
        assert run(day, out, Part(1, 2))[1].pending == 0
    assert run(day, out, Part(2, 2))[1].pending == 0


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rewrite(path: Path, change: object) -> None:
    """Change a file's pixels in place; its size stays and its time moves on, as on any file system."""
    before = path.stat()
    tifffile.imwrite(path, change(tifffile.imread(path)))  # type: ignore[operator]
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the cells that are read from now on."""
    found: list[str] = []
    original = planning._read

    def read(ref, *rest):  # type: ignore[no-untyped-def]
        found.append(ref.name)
        return original(ref, *rest)

    monkeypatch.setattr(planning, "_read", read)
    return found


def test_the_same_names_in_another_folder_are_other_cells(day: Path, tmp_path: Path) -> None:
    out = tmp_path / "days.zarr"
    run(day, out)
    before = content(out)
    other = draw(tmp_path / "day2", seed=2)
    for path in day.iterdir():  # As archives of equal times are unpacked.
        os.utime(other / path.name, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        assert (other / path.name).stat().st_size == path.stat().st_size
    with pytest.raises(StoreError) as caught:
        run(other, out)
    text = str(caught.value)
    assert "made from other images or masks than the input holds now (cells f#1, f#2, f#3, ...)" in text
    assert text.endswith("choose another output, or start anew with --overwrite.")
    assert content(out) == before


@pytest.mark.parametrize(
    ("file", "change", "named"),
    [
        ("f.tif", lambda pixels: 255 - pixels, "f#1, f#2, f#3, ..."),
        (
            "f_mask.tif",
            lambda labels: np.where(np.indices(labels.shape)[0] == 25, 0, labels),
            "f#1, f#2, f#3",
        ),
        (
            "f_mask.tif",
            lambda labels: np.where(labels == 5, 0, labels) + 5 * np.roll(labels == 5, 1, 0),
            "f#5",
        ),
        ("g.tif", lambda pixels: pixels[::-1], "g"),
    ],
)
def test_a_file_changed_in_place_is_noticed(
    day: Path, tmp_path: Path, file: str, change: object, named: str
) -> None:
    out = tmp_path / "out.zarr"
    run(day, out)
    rewrite(day / file, lambda pixels: change(pixels).astype(pixels.dtype))  # type: ignore[operator]
    with pytest.raises(StoreError, match=rf"\(cells {named}\)"):
        run(day, out)


def test_another_plane_in_the_manifest_is_noticed(day: Path, tmp_path: Path) -> None:
    plane = tifffile.imread(day / "g.tif")
    planes = np.stack([plane, plane.max() - plane])
    tifffile.imwrite(day / "stack.tif", planes, imagej=True, metadata={"axes": "ZYX"})
    manifest, out = tmp_path / "cells.csv", tmp_path / "out.zarr"

    def choose(plane: int) -> Path:
        manifest.write_text(f"image,mask,plane\n{day}/stack.tif,{day}/g_mask.tif,{plane}\n")
        return manifest

    run(choose(0), out)
    run(choose(0), out)
    with pytest.raises(StoreError, match="--overwrite"):
        run(choose(1), out)


def test_files_that_only_look_new_are_compared_once(
    day: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.zarr"
    _, progress = run(day, out)
    assert progress == Progress(7, 0, 0)
    os.utime(day / "f.tif", ns=(0, 0))
    found = reads(monkeypatch)
    run(day, out)
    assert sorted(found) == [f"f#{label}" for label in range(1, 7)]
    found.clear()
    run(day, out)
    assert found == []


def test_a_store_moves_with_its_input(day: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(day, day / "out.zarr")
    moved = shutil.move(day, tmp_path / "elsewhere")
    found = reads(monkeypatch)
    _, progress = run(moved, moved / "out.zarr")
    assert progress == Progress(7, 0, 0)
    assert len(found) == 7
    rewrite(moved / "g.tif", lambda pixels: pixels[::-1])
    with pytest.raises(StoreError, match=r"cells g\)"):
        run(moved, moved / "out.zarr")


def test_each_part_compares_its_own_cells(day: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    store, _ = run(day, out, Part(1, 2))
    assert store.grid.num_shards == 2
    run(day, out, Part(2, 2))
    rewrite(day / "g.tif", lambda pixels: pixels[::-1])
    run(day, out, Part(1, 2))
    with pytest.raises(StoreError, match=r"cells g\)"):
        run(day, out, Part(2, 2))
    with pytest.raises(StoreError, match=r"cells g\)"):
        run(day, out)


def test_a_file_that_broke_is_no_reason_to_go_on(day: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    run(day, out)
    (day / "g.tif").write_bytes((day / "g.tif").read_bytes()[:400])
    with pytest.raises(StoreError, match=r"cells g\)"):
        run(day, out)


def test_an_unfinished_store_goes_on_to_the_same_bytes(day: Path, tmp_path: Path) -> None:
    whole, halted = tmp_path / "whole" / "out.zarr", tmp_path / "halted" / "out.zarr"
    run(day, whole, Part(1, 2))
    run(day, whole, Part(2, 2))
    run(day, halted, Part(1, 2))
    row_file(halted, 0).unlink()
    run(day, halted, Part(2, 2))
    run(day, halted)
    assert content(halted) == content(whole)


@pytest.mark.parametrize("garbage", [b"", b"[1, 2, 3, 4]", b"{", b"[]", b"\xff"])
def test_stamps_may_be_lost(day: Path, tmp_path: Path, garbage: bytes) -> None:
    out = tmp_path / "out.zarr"
    store, _ = run(day, out)
    stamp_file(out, 0).write_bytes(garbage)
    assert run(day, out)[1] == Progress(7, 0, 0)
    assert verify_store(store.path).damages == []
    stamp_file(out, 0).unlink()
    rewrite(day / "f.tif", lambda pixels: 255 - pixels)
    with pytest.raises(StoreError, match="other images or masks"):
        run(day, out)


def test_rows_say_where_cells_were_cut_and_how_they_were_scaled(day: Path, tmp_path: Path) -> None:
    store, _ = run(day, tmp_path / "out.zarr")
    for row in store.cells:
        assert row.source_shape == (100, 150)
        assert row.scaled == "fit"
        assert row.voxel_size_px is not None
        assert len(row.made_from) == 32
    assert len({row.made_from for row in store.cells}) == 7


def test_verify_compares_every_cell_with_its_input(day: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    run(day, out)
    found = dispr("verify", out, "--input", day)
    assert (found.returncode, found.stderr) == (0, "")
    before = (day / "g.tif").stat()
    rewrite(day / "g.tif", lambda pixels: pixels[::-1])
    os.utime(day / "g.tif", ns=(before.st_atime_ns, before.st_mtime_ns))  # As a failing disk does.
    assert run(day, out)[1] == Progress(7, 0, 0)
    found = dispr("verify", out, "--input", day)
    assert found.returncode == 2
    assert found.stdout.splitlines()[-1] == f"intact:  {out}"
    assert (
        found.stderr
        == f"Differs: {day}: cell 'g' was made from another image or mask than this input holds.\n"
    )
    (day / "g_mask.tif").unlink()
    assert "lacks 1 cells of the store (first: 'g')" in dispr("verify", out, "--input", day).stderr
    assert dispr("verify", out).returncode == 0
    assert "give both" in dispr("verify", out, "--masks", day).stderr
