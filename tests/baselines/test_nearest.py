"""The nearest training cell: found in every orientation, averaged, written and read."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from dispr_cli.baselines.nearest import CellBank, NearestMethod, make_bank, orient, read_bank
from dispr_cli.diffusion.checkpoint import write_tensors
from dispr_cli.diffusion.folder import read_training_cells
from dispr_cli.diffusion.known_cells import NOTHING
from dispr_cli.diffusion.resumable_run import facts_of_cells
from dispr_cli.errors import ConfigError, WeightsError
from tests.baselines.drawn import cell_of, draw_ellipse


def lopsided(shift: int) -> np.ndarray:
    """Draw a mask that looks different in all eight orientations."""
    mask = draw_ellipse(14, 9)
    mask[10 + shift : 20 + shift, 20:30] = True
    return mask


@pytest.fixture
def bank() -> CellBank:
    masks = np.stack([lopsided(0), draw_ellipse(20, 20), draw_ellipse(6, 25)])
    rng = np.random.default_rng(0)
    solid = np.where(masks[:, None], rng.integers(0, 256, (3, 64, 64, 64)), 0).astype(np.uint8)
    return CellBank(("a", "b", "c"), solid, masks)


@pytest.mark.parametrize("orientation", range(8))
def test_a_turned_cell_finds_itself_turned(bank: CellBank, orientation: int) -> None:
    method = NearestMethod(bank)
    cell = cell_of(orient(bank.masks[0], orientation))
    assert method.neighbours(cell) == [(0, orientation)]
    expected = orient(bank.occupancy[0], orientation)
    np.testing.assert_array_equal(method.reconstruct([cell], 2, seed=0)[0, 1], expected)


def test_orientations_are_all_different(bank: CellBank) -> None:
    turned = [orient(bank.masks[0], k).tobytes() for k in range(8)]
    assert len(set(turned)) == 8


def test_mean_of_several(bank: CellBank) -> None:
    method = NearestMethod(bank, num_neighbours=2)
    cell = cell_of(bank.masks[1])
    (first, turn_first), (second, turn_second) = method.neighbours(cell)
    assert first == 1
    pair = [orient(bank.occupancy[first], turn_first), orient(bank.occupancy[second], turn_second)]
    mean = np.mean(pair, axis=0, dtype=np.float64)
    np.testing.assert_array_equal(method.reconstruct([cell], 1, seed=0)[0, 0], np.rint(mean))
    assert "2 nearest" in method.describe()


def test_its_own_name_can_be_left_out(bank: CellBank) -> None:
    cell = dataclasses.replace(cell_of(bank.masks[1]), name="b")
    assert NearestMethod(bank).neighbours(cell)[0][0] == 1
    assert NearestMethod(bank, exclude_same_name=True).neighbours(cell)[0][0] != 1


@pytest.mark.parametrize(("neighbours", "exclude"), [(4, False), (3, True)])
def test_more_neighbours_than_cells(bank: CellBank, neighbours: int, exclude: bool) -> None:
    cell = dataclasses.replace(cell_of(bank.masks[1]), name="b")
    with pytest.raises(
        ConfigError, match=rf"{neighbours} neighbours are asked for, but only {neighbours - 1}"
    ):
        NearestMethod(bank, neighbours, exclude).reconstruct([cell], 1, seed=0)


def test_no_neighbours_make_no_sense(bank: CellBank) -> None:
    with pytest.raises(ConfigError, match="number of neighbours is 0"):
        NearestMethod(bank, 0)


def test_an_empty_mask_stays_empty(bank: CellBank) -> None:
    assert not NearestMethod(bank).reconstruct([cell_of(np.zeros((64, 64), bool))], 1, seed=0).any()


def test_a_bank_of_training_cells_is_written_and_read(phantom_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "bank.safetensors"
    cells = read_training_cells(phantom_folder)
    learned, held_out = cells.select(np.arange(5)), cells.select(np.arange(5, 7))
    facts = {"data": "phantoms", **facts_of_cells(NOTHING, learned, held_out)}
    bank = make_bank(learned, facts)
    bank.save(out)
    found = read_bank(out)
    assert found.names == learned.names
    assert found.provenance["held_out"] == list(held_out.names)
    known = NearestMethod(found)
    assert [known.learned_from(cells.cell(index)) for index in range(7)] == [True] * 5 + [False] * 2
    assert NearestMethod(found, 2).identity() == NearestMethod(bank, 2).identity()
    truth = next((phantom_folder / "obj").glob(f"{Path(cells.names[3]).stem}*"))
    # Packed distances are tenths of a voxel: a voxel cut in half may fall on either side.
    assert ((found.occupancy[3] > 127) != (tifffile.imread(truth) > 127)).mean() < 0.003


def test_other_and_damaged_files_are_told(tmp_path: Path, tiny_weights: Path) -> None:
    with pytest.raises(WeightsError, match="dispr-nearest/1"):
        read_bank(tiny_weights)
    path = tmp_path / "short.safetensors"
    write_tensors(path, {"masks": torch.zeros(1)}, {"format": "dispr-nearest/1", "names": ["a"]})
    with pytest.raises(WeightsError, match="does not hold the training cells"):
        read_bank(path)
