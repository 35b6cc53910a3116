"""What the values of a prediction mean, alone and among the others of its method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dispr_cli.errors import InputError
from dispr_cli.inputs.prediction_values import LOOKED_AT, grey_kinds, looked_at, occupancy


@pytest.mark.parametrize(
    ("voxels", "expected"),
    [
        (np.array([0.0, 0.4, 0.6, 0.2]), [0, 102, 153, 51]),
        (np.array([0.0, 0.4, 0.3, 0.2]), [0, 102, 76, 51]),  # a probability that never reaches a half: empty
        (np.array([0, 1, 1, 0], np.int64), [0, 255, 255, 0]),
        (np.array([0, 7, 7, 0], np.float32), [0, 255, 255, 0]),
        (np.array([False, True, True, False]), [0, 255, 255, 0]),
        (np.array([0, 90, 200, 255], np.uint8), [0, 90, 200, 255]),
        (np.array([0, 90, 200, 3], np.uint16), [0, 90, 200, 3]),
        (np.array([0, 1.0000001, 0.4, 0.6], np.float32), [0, 255, 102, 153]),  # a mean of folds
        (np.array([0, 1.0005, 0, 1.0005], np.float16), [0, 255, 0, 255]),
    ],
)
def test_what_values_mean(voxels: np.ndarray, expected: list[int]) -> None:
    assert occupancy(voxels[None, None], Path("x"), "cell")[0, 0].tolist() == expected


@pytest.mark.parametrize("voxels", [[0, -1.0], [0, np.nan], [3.0, 400.0], [0, 1j]])
def test_what_is_no_occupancy(voxels: list[Any]) -> None:
    with pytest.raises(InputError, match="x: the prediction of cell 'c' has values up to"):
        occupancy(np.array(voxels), Path("x"), "c")


@pytest.mark.parametrize(
    "voxels",
    [
        np.linspace(0, 100, 50, dtype=np.float32),  # percentages
        np.array([0, 1, 2, 2], np.uint8),  # labels
        np.array([0, 1, 2, 2], np.float32),
        np.array([0, 0.2, 1.18, 1.0]),  # a cubic spline beyond 1
        np.array([0, 3, 90, 127], np.uint16),
    ],
)
def test_what_may_be_something_else_is_told_and_not_read_as_empty(voxels: np.ndarray) -> None:
    with pytest.raises(
        InputError, match=r"x: .* occupancy from 0 to 255 that reaches 128: scale or threshold"
    ):
        occupancy(voxels[None, None], Path("x"), "c")


def test_a_faint_occupancy_is_read_as_it_is() -> None:
    faint = np.arange(100, dtype=np.uint8)[None, None]
    np.testing.assert_array_equal(occupancy(faint, Path("x"), "c"), faint)
    few, strong = faint[..., :3].astype(np.float32), np.array([[[0, 20, 240]]], np.float32)
    grey = grey_kinds([few * 0, strong, faint * np.uint8(0)])
    assert grey == {np.dtype(np.float32)}
    np.testing.assert_array_equal(occupancy(few, Path("x"), "c", grey), few)


@pytest.mark.parametrize(
    "usual", [np.array([[[0, 0.2, 0.9]]], np.float32), np.array([[[0, 1, 1]]], np.float32)]
)
def test_one_strange_volume_does_not_decide_for_all(usual: np.ndarray) -> None:
    strange = np.array([[[0, 20, 240]]], np.float32)
    assert grey_kinds([usual, strange, usual]) == frozenset()
    assert grey_kinds([strange, usual, strange]) == {np.dtype(np.float32)}


def test_what_is_no_number_is_told() -> None:
    words = np.array([[["a", "b"]]])
    assert grey_kinds([words]) == frozenset()
    with pytest.raises(InputError, match="'c' has values that are no numbers"):
        occupancy(words, Path("x"), "c")


def test_masks_of_255_and_what_cannot_be_read_have_no_vote() -> None:
    mask, unsound = np.array([[[0, 255]]], np.uint8), np.array([[[0, 1j]]])
    assert grey_kinds([mask, unsound, np.zeros((0, 4, 4))]) == frozenset()


@pytest.mark.parametrize("count", [0, 1, 2, 31, 32, 33, 63, 64, 1000])
def test_cells_that_are_looked_at_come_from_all_over(count: int) -> None:
    chosen = looked_at(count)
    assert len(chosen) == len(set(chosen)) == min(count, LOOKED_AT)
    assert not count or (chosen[0], chosen[-1]) == (0, count - 1)
