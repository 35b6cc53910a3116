"""A truth that is not of its mask is told from one that is, and why."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from dispr_cli.inputs.truth_agreement import (
    FOCAL_SLICE,
    READINGS,
    Agreement,
    compare_in_focus,
    likely_cause,
    median_iou,
)

Volume = NDArray[np.uint8]


def cell(seed: int) -> Volume:
    """Two overlapping ellipsoids, askew: no two readings of it are the same."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.mgrid[:64, :64, :64].astype(float))
    inside = np.zeros((64, 64, 64), bool)
    centre = np.array([32.0, 24.0, 30.0]) + random.uniform(-3, 3, 3)
    for shift, sides in (((0, 0, 0), (8, 12, 20)), ((2, 14, 6), (10, 14, 7))):
        away = grid - (centre + np.array(shift))[:, None, None, None]
        inside |= ((away / np.array(sides)[:, None, None, None]) ** 2).sum(0) < 1
    return np.uint8(255) * inside


def agreements(change: Callable[[Volume], Volume] = lambda t: t) -> list[Agreement]:
    cells = [cell(seed) for seed in range(7)]
    return [compare_in_focus(np.ascontiguousarray(change(c)), c[FOCAL_SLICE] > 127) for c in cells]


def test_a_truth_of_its_mask_has_no_cause() -> None:
    found = agreements()
    assert median_iou(found) == 1.0
    assert likely_cause(found) is None
    assert all(likely_cause([one]) is None for one in found)
    assert likely_cause([]) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: 255 - t, "inverted, 0 has to be outside"),
        (lambda t: t[:, :, ::-1], "mirrored along x"),
        (lambda t: t[:, ::-1], "mirrored along y"),
        (lambda t: t[:, ::-1, ::-1], "turned by 180"),
        (lambda t: np.rot90(t, 1, (1, 2)), "turned by 270"),
        (lambda t: np.rot90(t, 3, (1, 2)), "turned by 90"),
        (lambda t: t.transpose(0, 2, 1), "order z, x, y"),
        (lambda t: t.transpose(1, 0, 2), "order y, z, x"),
        (lambda t: t.transpose(2, 1, 0), "order x, y, z"),
        (lambda t: t.transpose(1, 2, 0), "order y, x, z"),
        (lambda t: t.transpose(2, 0, 1), "order x, z, y"),
        (lambda t: np.roll(t, 6, 0), "slice 38 and not 32"),
        (lambda t: np.pad(t[:, ::2, ::2], ((0, 0), (16, 16), (16, 16))), "0.5 times as large as the mask"),
    ],
)
def test_what_is_wrong_is_named(change: Callable[[Volume], Volume], words: str) -> None:
    found = agreements(change)
    assert median_iou(found) < 0.9
    assert words in (likely_cause(found) or "nothing")


def test_every_reading_is_one_of_its_own() -> None:
    volume = cell(0) > 127
    planes = [read(volume) for read in READINGS.values()]
    assert len({plane.tobytes() for plane in planes}) == len(READINGS)


def test_masks_that_are_only_rough_are_no_mistake() -> None:
    """Masks of another segmentation, a seventh wider: nothing is mended by reading otherwise."""
    found = []
    for seed in range(7):
        volume = cell(seed)
        mask = np.zeros((64, 64), bool)
        for dy, dx in ((0, 0), (2, 0), (-2, 0), (0, 2), (0, -2)):
            mask |= np.roll(volume[FOCAL_SLICE] > 127, (dy, dx), (0, 1))
        found.append(compare_in_focus(volume, mask))
    assert 0.6 < median_iou(found) < 0.95
    assert likely_cause(found) is None


def test_nothing_in_the_focal_plane() -> None:
    volume = np.zeros((64, 64, 64), np.uint8)
    volume[:10, 20:40, 20:40] = 255
    mask = np.zeros((64, 64), bool)
    mask[20:40, 20:40] = True
    found = compare_in_focus(volume, mask)
    assert (found.iou, found.size, found.scaled) == (0.0, 0.0, 0.0)
    assert "the mask's plane is slice 0" in (likely_cause([found]) or "")
