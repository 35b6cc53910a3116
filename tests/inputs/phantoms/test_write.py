from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from dispr_cli.errors import ConfigError, StoreError
from dispr_cli.inputs.phantoms import as_read, generate_phantoms, write_phantoms
from dispr_cli.inputs.phantoms.write import FOLDERS
from dispr_cli.pipeline import read_cells as read_folder

CLASSES = ["discocyte", "spherocyte"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("set") / "phantoms"
    assert write_phantoms(out, 3, CLASSES, seed=2) == out / "phantoms.csv"
    return out


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_three_folders_hold_the_same_names(written):
    names = ["discocyte_000000.tif", "discocyte_000002.tif", "spherocyte_000001.tif"]
    for folder in FOLDERS:
        assert sorted(path.name for path in (written / folder).iterdir()) == names


def test_a_phantom_is_seen_as_its_files_are_read(written):
    read = {Path(cell.name).stem: cell for cell in read_folder(written)}
    for phantom in generate_phantoms(3, CLASSES, seed=2):
        seen, cell = as_read(phantom), read[phantom.name]
        assert np.array_equal(seen.image, cell.image)
        assert np.array_equal(seen.mask, cell.mask)
        assert (seen.image.min(), seen.image.max()) == (0.0, 1.0)


def test_files_hold_the_phantoms(written):
    for phantom in generate_phantoms(3, CLASSES, seed=2):
        for folder, array in (("image", phantom.image), ("mask", phantom.mask), ("obj", phantom.volume)):
            assert np.array_equal(tifffile.imread(written / folder / f"{phantom.name}.tif"), array)


def test_table_tells_how_each_was_made(written):
    with (written / "phantoms.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["discocyte_000000", "spherocyte_000001", "discocyte_000002"]
    for row, phantom in zip(rows, generate_phantoms(3, CLASSES, seed=2), strict=True):
        assert (row["phantom_class"], row["seed"], row["voxel_size_um"]) == (
            phantom.phantom_class,
            "2",
            "0.172",
        )
        truth = (tifffile.imread(written / "obj" / f"{row['name']}.tif") > 127).sum() * 0.172**3
        assert float(row["volume_um3"]) == pytest.approx(truth, abs=0.01)
        assert float(row["body_volume_um3"]) == pytest.approx(phantom.body_volume_um3, abs=0.01)
        assert json.loads(row["parameters"])["z_stretch"] == pytest.approx(
            phantom.traits["z_stretch"], rel=1e-5
        )


@pytest.mark.parametrize("folder", FOLDERS)
def test_files_carry_the_voxel_size(written, folder):
    with tifffile.TiffFile(written / folder / "discocyte_000000.tif") as tiff:
        metadata = tiff.imagej_metadata or {}
        numerator, denominator = tiff.pages[0].tags["XResolution"].value
        assert denominator / numerator == pytest.approx(0.172, rel=1e-5)
        assert metadata["unit"] == "um"
        assert folder != "obj" or metadata["spacing"] == pytest.approx(0.172)


def test_our_readers_find_the_voxel_size_and_the_truth(written):
    from dispr_cli.inputs.plan import plan_cells
    from dispr_cli.inputs.settings import InputSettings
    from dispr_cli.inputs.truth import read_truth

    cells = plan_cells(written, InputSettings()).cells
    assert len(cells) == 3
    for cell in cells:
        assert cell.pixel_size.x_um == pytest.approx(0.172, rel=1e-4)
    truth = read_truth(written / "obj" / "discocyte_000000.tif")
    assert np.array_equal(truth, tifffile.imread(written / "obj" / "discocyte_000000.tif"))


def test_writing_again_changes_nothing_and_more_adds(written):
    before = contents(written)
    write_phantoms(written, 3, CLASSES, seed=2)
    assert contents(written) == before
    write_phantoms(written, 4, CLASSES, seed=2)
    after = contents(written)
    assert set(after) - set(before) == {f"{folder}/spherocyte_000003.tif" for folder in FOLDERS}
    assert all(after[name] == data for name, data in before.items() if name != "phantoms.csv")


def test_progress_is_told(tmp_path):
    told: list[tuple[int, int]] = []
    write_phantoms(tmp_path / "new" / "set", 2, ["spherocyte"], progress=lambda *step: told.append(step))
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("count", "classes", "seed", "words"),
    [
        (4, CLASSES, 3, "phantoms of seed 2, not 3"),
        (4, ["discocyte"], 2, "'spherocyte_000001.tif'.*not in this set"),
        (1, CLASSES, 2, "not in this set"),
    ],
)
def test_another_set_is_refused(written, count, classes, seed, words):
    before = contents(written)
    with pytest.raises(StoreError, match=words):
        write_phantoms(written, count, classes, seed)
    assert contents(written) == before


def test_foreign_folders_are_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(StoreError, match=r"'thesis.txt'.*Choose another folder"):
        write_phantoms(tmp_path, 1)
    (tmp_path / "thesis.txt").rename(tmp_path / "phantoms.csv")
    with pytest.raises(StoreError, match=r"another phantoms\.csv"):
        write_phantoms(tmp_path, 1)
    (tmp_path / "phantoms.csv").unlink()
    (tmp_path / "mask").mkdir()
    with pytest.raises(StoreError, match=r"no phantoms\.csv"):
        write_phantoms(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["mask"]


def test_strangers_among_the_phantoms_are_refused(tmp_path):
    write_phantoms(tmp_path, 1, ["spherocyte"])
    (tmp_path / "obj" / "real_cell.tif").write_bytes(b"")
    with pytest.raises(StoreError, match=r"'real_cell.tif', which is no phantom"):
        write_phantoms(tmp_path, 1, ["spherocyte"])


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(StoreError, match="is a file"):
        write_phantoms(tmp_path / "out", 1)
    with pytest.raises(StoreError, match="cannot be"):
        write_phantoms(tmp_path / "out" / "below", 1)


def test_impossible_sets_leave_no_folder(tmp_path):
    with pytest.raises(ConfigError, match="at least 1"):
        write_phantoms(tmp_path / "out", 0)
    with pytest.raises(ConfigError, match="'egg'"):
        write_phantoms(tmp_path / "out", 1, ["egg"])
    assert not (tmp_path / "out").exists()
