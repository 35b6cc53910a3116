"""Relative errors and overlaps against hand-counted cases."""

from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.errors import CellError
from dispr_cli.shape.errors import (
    dice,
    iou,
    mirror_invariant_iou,
    relative_error,
    slice_iou,
    surface_error,
    volume_error,
)


def box(z: slice, y: slice, x: slice, size: int = 8) -> np.ndarray:
    volume = np.zeros((size,) * 3, bool)
    volume[z, y, x] = True
    return volume


TRUTH = box(slice(2, 6), slice(2, 6), slice(2, 6))
HALF_OFF = box(slice(4, 8), slice(2, 6), slice(2, 6))
EMPTY = np.zeros((8, 8, 8), bool)


def test_overlaps_of_boxes_shifted_by_half() -> None:
    assert iou(HALF_OFF, TRUTH) == pytest.approx(1 / 3)
    assert dice(HALF_OFF, TRUTH) == pytest.approx(1 / 2)
    assert iou(TRUTH, TRUTH) == dice(TRUTH, TRUTH) == 1.0


def test_all_kinds_of_volume_agree() -> None:
    occupancy = np.where(TRUTH, 0.6, 0.4)
    grey = np.where(TRUTH, 128, 127).astype(np.uint8)
    for volume in (occupancy, occupancy.astype(np.float32), grey):
        assert iou(volume, TRUTH) == 1.0
        assert volume_error(volume, TRUTH) == 0.0


def test_relative_errors() -> None:
    assert relative_error(3.0, -2.0) == pytest.approx(2.5)
    assert relative_error(0.0, 0.0) == 0.0
    larger = box(slice(2, 7), slice(2, 6), slice(2, 6))
    assert volume_error(larger, TRUTH) == pytest.approx(0.25)
    assert surface_error(larger, TRUTH) > 0.1
    assert surface_error(HALF_OFF, TRUTH) == pytest.approx(0.0, abs=1e-6)


def test_mirror_about_the_central_slice() -> None:
    below, above = box(slice(1, 4), slice(2, 6), slice(2, 6)), box(slice(5, 8), slice(2, 6), slice(2, 6))
    assert iou(below, above) == 0.0
    assert mirror_invariant_iou(below, above) == 1.0
    at_the_edge = box(slice(0, 1), slice(2, 6), slice(2, 6))
    assert mirror_invariant_iou(at_the_edge, above) == 0.0


@pytest.mark.parametrize("depth", [1, 2, 7, 8])
def test_mirroring_keeps_the_central_slice(depth: int) -> None:
    volume = np.zeros((depth, 3, 3), bool)
    volume[depth // 2, 1, 1] = True
    tilted = volume.copy()
    tilted[depth // 2, 0, 0] = True
    assert mirror_invariant_iou(tilted, tilted) == 1.0
    assert mirror_invariant_iou(volume, tilted) == pytest.approx(0.5)


def test_slice_iou_sees_only_the_central_slice() -> None:
    assert slice_iou(HALF_OFF, TRUTH) == 1.0
    missing = TRUTH.copy()
    missing[4, 2:4] = False
    assert slice_iou(missing, TRUTH) == pytest.approx(0.5)
    assert np.isnan(slice_iou(TRUTH, box(slice(0, 3), slice(2, 6), slice(2, 6))))


def test_empty_prediction_is_a_failure() -> None:
    assert iou(EMPTY, TRUTH) == dice(EMPTY, TRUTH) == mirror_invariant_iou(EMPTY, TRUTH) == 0.0
    assert slice_iou(EMPTY, TRUTH) == 0.0
    assert volume_error(EMPTY, TRUTH) == surface_error(EMPTY, TRUTH) == 1.0


@pytest.mark.parametrize("measure", [iou, dice, mirror_invariant_iou, slice_iou, volume_error, surface_error])
def test_incomparable_volumes_are_refused(measure) -> None:
    with pytest.raises(CellError, match="shape"):
        measure(TRUTH[:-1], TRUTH)
    with pytest.raises(CellError, match="no voxel above half"):
        measure(TRUTH, EMPTY)
    with pytest.raises(CellError, match="NaN"):
        measure(np.where(TRUTH, np.nan, 0.0), TRUTH)
    with pytest.raises(CellError, match="3D"):
        measure(TRUTH[0], TRUTH)
