"""Crumbs go; cells, second cells and what is partly inside stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from dispr_cli.shape.crumbs import CRUMB, remove_crumbs


def ball(centre: tuple[int, int, int], radius: float) -> NDArray[np.uint8]:
    """Occupancy that falls over one voxel."""
    z, y, x = np.mgrid[:32, :32, :32]
    distance = np.sqrt((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2)
    return (np.clip(radius - distance + 0.5, 0.0, 1.0) * 255).round().astype(np.uint8)


CELL = ball((16, 16, 12), 8.0)


def test_a_crumb_goes_with_the_voxels_partly_inside_around_it() -> None:
    both = np.maximum(CELL, ball((16, 16, 28), 1.6))
    assert (both > CELL).sum() > (both > 127).sum() - (CELL > 127).sum()
    remove_crumbs(both)
    np.testing.assert_array_equal(both, CELL)


def test_what_a_crumb_shares_with_the_cell_stays() -> None:
    both = CELL.copy()
    both[16, 16, 22] = 200  # one voxel between: it is partly inside by the cell
    assert CELL[16, 16, 20] > 0
    remove_crumbs(both)
    np.testing.assert_array_equal(both, CELL)


@pytest.mark.parametrize("centre", [(16, 16, 27), (0, 0, 31)])
def test_a_second_cell_stays(centre: tuple[int, int, int]) -> None:
    both = np.maximum(CELL, ball(centre, 4.0))
    before = both.copy()
    remove_crumbs(both)
    np.testing.assert_array_equal(both, before)


@pytest.mark.parametrize(
    "volume", [CELL, np.zeros_like(CELL), np.full_like(CELL, 255), np.full_like(CELL, 90)]
)
def test_others_are_left_alone(volume: NDArray[np.uint8]) -> None:
    kept = volume.copy()
    remove_crumbs(kept)
    np.testing.assert_array_equal(kept, volume)


@pytest.mark.parametrize("seed", range(20))
def test_pieces_are_those_of_a_labelling(seed: int) -> None:
    random = np.random.default_rng(seed)
    volume = random.integers(0, 256, (9, 12, 11)).astype(np.uint8)
    volume[random.random(volume.shape) < random.uniform(0.2, 0.6)] = 0
    labels, _ = ndimage.label(volume > 127)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    crumbs = (sizes < CRUMB * sizes.max())[labels] & (labels > 0)
    touch = np.ones((3, 3, 3), bool)
    beside = ndimage.binary_dilation(crumbs, touch) & ~ndimage.binary_dilation((labels > 0) & ~crumbs, touch)
    wanted = np.where(crumbs | beside, 0, volume)
    remove_crumbs(volume)
    np.testing.assert_array_equal(volume, wanted)
