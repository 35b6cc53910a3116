"""Predictions of another program mean the same when they are measured as when they are evaluated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from dispr_cli.errors import CellError, DisprError
from dispr_cli.morphology.sources import find_shapes
from dispr_cli.scoring.predictions import open_predictions
from dispr_cli.scoring.truths import FolderTruths
from tests.morphology.test_measure import ball

INSIDE = ball(14) > 127


def shapes_of(folder: Path) -> dict[str, NDArray[np.uint8] | DisprError]:
    source, found = find_shapes(folder, predicted=True), {}
    for unit in range(source.num_units):
        for ref in source.unit(unit):
            try:
                found[ref.cell] = ref.read()
            except DisprError as error:
                found[ref.cell] = error
    return found


def write(folder: Path, **volumes: NDArray) -> Path:
    folder.mkdir()
    for name, volume in volumes.items():
        tifffile.imwrite(folder / f"{name}.tif", volume)
    return folder


def test_a_faint_occupancy_is_not_inflated(tmp_path: Path) -> None:
    """Beside bright ones 40 of 255 is not half of anything; by its own maximum it would be a cell."""
    bright = np.where(INSIDE, 250, 3).astype(np.uint8)
    bright[0, 0, :3] = (90, 120, 200)
    faint = np.where(INSIDE, 40, 3).astype(np.uint8)
    found = shapes_of(write(tmp_path / "p", a=bright, b=bright, c=faint))
    assert np.array_equal(found["a"] > 127, bright > 127)
    assert isinstance(found["c"], CellError)
    assert "c.tif" in str(found["c"])


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        (INSIDE.astype(np.uint8), INSIDE),
        (INSIDE * np.uint8(7), INSIDE),
        (np.where(INSIDE, 0.6, 0.2).astype(np.float32), INSIDE),
        (np.where(INSIDE, 0.4, 0.2).astype(np.float32), None),
        (np.where(INSIDE, np.float32(1.0000001), np.float32(0.1)), INSIDE),
        (np.where(INSIDE, 90, 10).astype(np.int32), None),
        (np.full(INSIDE.shape, -1.0, np.float32), None),
    ],
)
def test_values_mean_what_they_mean_for_an_evaluation(
    volume: NDArray, expected: NDArray[np.bool_] | None, tmp_path: Path
) -> None:
    folder = write(tmp_path / "p", a=volume)
    found = shapes_of(folder)["a"]
    if expected is None:
        assert isinstance(found, DisprError)
        assert "a.tif" in str(found)
    else:
        assert not isinstance(found, DisprError)
        assert np.array_equal(found > 127, expected)
        compared = open_predictions(folder, ["a"], FolderTruths(folder, None)).read(0)[0]
        compared = open_predictions(folder, ["a"], FolderTruths(folder, None)).read(0)[0]
        assert np.array_equal(found, compared)
