"""Names from strangers' files, from end to end: nothing leaves the output folder or starts a formula."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import tifffile

from dispr_cli.inputs.phantoms import PHANTOM_CLASSES, generate_phantoms
from dispr_cli.inputs.plan import cell_name
from dispr_cli.morphology import measure
from dispr_cli.volumes.store import open_store
from tests.commands.in_process import dispr_here as dispr

IN_FILES = (
    "=cmd|' C calc'!A0",
    "@SUM(1+1)*cmd",
    "-2+3",
    "\u202egpj.exe",
    "CON",
    "dots at the end..",
    "$(touch evil)`touch evil`;touch evil",
    "細胞 naïve Ω",
    "a" * 240,
)
IN_MANIFESTS = (
    "../../../evil",
    "/tmp/evil",
    "..\\..\\evil",
    "C:\\Windows\\evil",
    "\\\\host\\share\\evil",
    "a\tb",
    "nul",
    "LPT1.txt",
    "+1+1",
    "x" * 300,
    "\u200e\u202e\u2066",
    ".",
    "..",
    "~/evil",
    "%2e%2e%2fevil",
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder and a manifest of strange names, in a place from which going up is noticed."""
    folder = tmp_path / "deep" / "down" / "cells"
    for part in ("image", "mask", "obj"):
        (folder / part).mkdir(parents=True)
    phantoms = generate_phantoms(2, PHANTOM_CLASSES, seed=3)
    for name, phantom in zip(IN_FILES, [*phantoms] * len(IN_FILES), strict=False):
        for part, pixels in (("image", phantom.image), ("mask", phantom.mask), ("obj", phantom.volume)):
            tifffile.imwrite(folder / part / f"{name}.tif", pixels)
    with (folder / "cells.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("image", "mask", "name"))
        for name in IN_MANIFESTS:
            table.writerow((f"image/{IN_FILES[4]}.tif", f"mask/{IN_FILES[4]}.tif", name))
    return folder


def files_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_dir()}


def run(*arguments: object) -> None:
    done = dispr(*arguments)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("manifest", [False, True])
def test_nothing_leaves_the_output_folder(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manifest: bool
) -> None:
    given, out = (source / "cells.csv" if manifest else source), tmp_path / "deep" / "results"
    out.mkdir()
    monkeypatch.chdir(out)
    small = {"volume": 1.0}
    monkeypatch.setattr(measure, "measure_shape", lambda *_: small)  # what is measured does not count here
    before = files_in(tmp_path)
    store = out / "out.zarr"
    run("reconstruct", given, store, "--method", "cylinder", "--samples", 1)
    count = len(IN_MANIFESTS if manifest else IN_FILES)
    for kind in ("ome-tiff", "stl", "npy"):
        run("export", store, "--cell", "all", "--format", kind, "--out", out / kind)
        assert len(files_in(out / kind)) == count
    run("features", store, "--out", out / "features.csv")
    if not manifest:
        run("evaluate", store, "--truth", source, "--out", out / "evaluation")
    new = files_in(tmp_path) - before
    assert new
    assert all(path.is_relative_to(out) for path in new)
    assert not Path("/tmp/evil").exists()
    for path in new:
        assert len(path.name.encode()) <= 255
        assert path.name.isprintable()
        assert not path.name.startswith(("-", "~"))
        assert path.name.split(".")[0].lower() not in ("con", "nul", "lpt1")
    for table in out.rglob("*.csv"):
        with table.open(newline="", encoding="utf-8") as file:
            words = [word for row in csv.reader(file) for word in row]
        assert len(words) > count
        assert not [word for word in words if word.startswith(("=", "+", "@", "\t", "\r", "\n"))]
        assert all(_is_number(word) for word in words if word.startswith("-"))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def test_a_cell_is_found_again_by_its_own_name(source: Path, tmp_path: Path) -> None:
    store = tmp_path / "out.zarr"
    run("reconstruct", source, store, "--method", "cylinder", "--samples", 1)
    opened = open_store(store)
    for name in IN_FILES:
        assert opened.read(cell_name(name)).any(), name


def test_links_that_lead_in_circles_end(source: Path, tmp_path: Path) -> None:
    (source / "image" / "again").symlink_to(source, target_is_directory=True)
    (source / "mask" / "up").symlink_to(source.parent, target_is_directory=True)
    (source / "image" / "itself.tif").symlink_to(source / "image" / "itself.tif")
    done = dispr("reconstruct", source, tmp_path / "out.zarr", "--method", "cylinder", "--samples", 1)
    assert done.returncode in (0, 1), done.stderr
    assert len(files_in(tmp_path / "out.zarr")) > 3
