"""Whether a cell looks like those trained on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from dispr_cli.diffusion.familiarity import MOST_UNLIKE, familiarity_from, fit_familiarity
from dispr_cli.errors import WeightsError
from dispr_cli.inputs.cell import Cell


def cell(image: np.ndarray, mask: np.ndarray) -> Cell:
    return Cell("c", image.astype(np.float32), mask, None, Path("c"), None, (0, 0, 64, 64), False)


def ordinary(seed: int) -> Cell:
    """A bright-rimmed ellipse in noise."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[:64, :64]
    height, width = rng.uniform(12, 20, 2)
    radius = np.sqrt(((y - 31.5) / height) ** 2 + ((x - 31.5) / width) ** 2)
    image = np.exp(-(((radius - 0.9) / 0.2) ** 2)) + 0.1 * rng.random((64, 64))
    return cell(np.clip(ndimage.gaussian_filter(image, 1.0), 0, 1), radius < 1)


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return [ordinary(seed) for seed in range(120)]


def test_new_cells_of_the_kind_are_familiar_and_others_are_not(cells: list[Cell]) -> None:
    known = fit_familiarity(cells)
    assert known is not None
    new = [known.unlike(ordinary(seed)) for seed in range(1000, 1100)]
    assert np.mean(np.array(new) > 1) <= 0.06
    noise, square = np.random.default_rng(0).random((64, 64)), np.zeros((64, 64), bool)
    square[5:60, 28:36] = True
    strange = [
        cell(noise, cells[0].mask),
        cell(cells[0].image, square),
        cell(1 - cells[0].image, cells[0].mask),
    ]
    assert min(known.unlike(one) for one in strange) > 1.5
    assert known.unlike(cell(noise, np.zeros((64, 64), bool))) == MOST_UNLIKE


def test_it_comes_back_from_json_as_it_was(cells: list[Cell]) -> None:
    known = fit_familiarity(cells)
    assert known is not None
    again = familiarity_from(json.loads(json.dumps(known.as_json())), "x")
    assert again is not None
    assert [again.unlike(one) for one in cells[:5]] == [known.unlike(one) for one in cells[:5]]


def test_few_cells_teach_nothing_and_other_features_are_not_used(cells: list[Cell]) -> None:
    assert fit_familiarity(cells[:29]) is None
    known = fit_familiarity(cells[:30])
    assert known is not None
    assert familiarity_from({**known.as_json(), "features": ["area"]}, "x") is None


@pytest.mark.parametrize("broken", [{"mean": [1.0]}, {"limit": 0.0}, {"limit": None}, {"sd": [0.0] * 14}])
def test_damage_is_told(cells: list[Cell], broken: dict[str, object]) -> None:
    known = fit_familiarity(cells)
    assert known is not None
    with pytest.raises(WeightsError, match=r"a\.json"):
        familiarity_from({**known.as_json(), **broken}, "a.json")
