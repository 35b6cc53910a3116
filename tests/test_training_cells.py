"""Which cells a training learns from, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.errors import InputError
from dispr_cli.training_cells import SHOWN, cells_to_train_on
from dispr_cli.training_job import TrainingJob
from dispr_cli.trust_measurement import FEWEST_HELD_OUT


def copied(folder: Path, out: Path, numbers: slice, prefix: str = "") -> Path:
    for part in ("image", "mask", "obj"):
        (out / part).mkdir(parents=True, exist_ok=True)
        for path in sorted((folder / part).iterdir())[numbers]:
            (out / part / f"{prefix}{path.name}").write_bytes(path.read_bytes())
    return out


def test_cells_of_test_are_never_learned_from(phantom_folder: Path, tmp_path: Path) -> None:
    copied(phantom_folder, tmp_path / "train", slice(0, 5))
    copied(phantom_folder, tmp_path / "test", slice(5, 7))
    for fraction in (0.15, 0.0):
        said: list[str] = []
        found = cells_to_train_on(tmp_path, None, fraction, said.append)
        assert found.held_out is not None
        assert (len(found.learned), len(found.held_out), found.held_in) == (5, 2, "test/")
        assert all(name.startswith("test_") for name in found.held_out.names)
        assert all(name.startswith("train_") for name in found.learned.names)
        assert "the 2 cells of test/ are held out, whatever --validation-fraction says" in said


def test_a_share_is_held_out_where_there_is_no_test(phantom_folder: Path) -> None:
    said: list[str] = []
    found = cells_to_train_on(phantom_folder, None, 0.3, said.append)
    assert found.held_out is not None
    assert (len(found.learned), len(found.held_out), found.held_in) == (5, 2, "")
    assert [text.split(":")[0] for text in said] == ["the cells lie on voxels of unknown size"]


def test_many_cells_that_are_left_out_are_counted(phantom_folder: Path, tmp_path: Path) -> None:
    data = copied(phantom_folder, tmp_path, slice(0, 7))
    for number in range(3):
        copied(phantom_folder, tmp_path, slice(0, 3), f"more{number}_")
    for path in sorted((data / "obj").glob("more*")):
        tifffile.imwrite(path, np.zeros((64, 64, 64), np.uint8))
    said: list[str] = []
    found = cells_to_train_on(data, None, 0.0, said.append)
    assert (len(found.learned), found.held_out) == (7, None)
    assert sum(text.startswith("Left out: more") for text in said) == SHOWN
    assert f"... and {9 - SHOWN} more: 9 cells are left out" in said


def test_truths_that_only_nearly_agree_are_worth_a_word(phantom_folder: Path, tmp_path: Path) -> None:
    data = copied(phantom_folder, tmp_path, slice(0, 7))
    for path in sorted((data / "obj").iterdir()):
        tifffile.imwrite(path, np.roll(tifffile.imread(path), (5, 5), (1, 2)))
    said: list[str] = []
    cells_to_train_on(data, None, 0.0, said.append)
    assert any("overlap with IoU 0." in text and "check the axes" in text for text in said)


def test_only_test_cells_are_no_training(phantom_folder: Path, tmp_path: Path) -> None:
    copied(phantom_folder, tmp_path / "train", slice(0, 1))
    copied(phantom_folder, tmp_path / "test", slice(5, 7))
    for path in (tmp_path / "train" / "obj").iterdir():
        path.unlink()
    # Nothing of train/ can be used: the share is then of what is there.
    assert cells_to_train_on(tmp_path, None, 0.0, lambda text: None).held_in == ""
    with pytest.raises(InputError):
        cells_to_train_on(tmp_path / "train", None, 0.0, lambda text: None)


def job(learned: int, held: int, held_in: str = "") -> TrainingJob:
    def cells(first: int, count: int) -> TrainingCells:
        image = np.zeros((count, 64, 64), np.uint8)
        image[:, 0, 0], image[:, 0, 1] = np.divmod(np.arange(first, first + count), 256)
        outline = np.ones((count, 64, 64), np.int8)
        names = tuple(f"c{n}" for n in range(first, first + count))
        return TrainingCells(names, np.zeros((count, 1), np.int8), outline, image)

    out = cells(learned, held) if held else None
    return TrainingJob(cells(0, learned), out, Path("w"), {}, None, "", None, False, held_in)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("learned", "held", "held_in", "words"),
    [
        (92, 16, "", "; --validation-fraction 0.19 holds out 21 of 108"),
        (108, 0, "", "; --validation-fraction 0.19 holds out 21 of 108"),
        (85, 15, "", "; --validation-fraction 0.2 holds out 20 of 100"),
        (34, 6, "", "; --validation-fraction 0.5 holds out 20 of 40"),
        (32, 6, "", ", which takes more cells than these 38"),
        (92, 16, "test/", "; put more cells into test/"),
        (92, 20, "", ""),
    ],
)
def test_a_fraction_that_would_do_is_named(learned: int, held: int, held_in: str, words: str) -> None:
    assert job(learned, held, held_in).how_to_hold_out(FEWEST_HELD_OUT) == words
