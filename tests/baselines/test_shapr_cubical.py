from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.baselines.shapr.cubical import component_pairs, void_pairs
from dispr_cli.baselines.shapr.topology import tunnel_pairs

SHAPES = [(7, 7, 7), (4, 5, 6), (1, 6, 5), (16, 16, 16)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("levels", [None, 3])
def test_pairs_have_the_values_that_gudhi_finds(shape: tuple[int, ...], levels: int | None) -> None:
    pytest.importorskip("gudhi", reason="gudhi (extra 'topology') is not installed")
    rng = np.random.default_rng(0)
    volume = rng.random(shape) if levels is None else rng.integers(0, levels, shape) / levels
    for dimension, found in ((0, component_pairs(volume)), (2, void_pairs(volume))):
        ours, theirs = (
            np.sort(volume.ravel()[pairs].view("f8,f8").ravel())
            for pairs in (found, tunnel_pairs(volume, dimension))
        )
        np.testing.assert_array_equal(ours, theirs)


def test_a_void_is_enclosed_by_its_shell_and_filled_by_its_kernel() -> None:
    volume = np.full((5, 5, 5), 0.9)
    volume[1:-1, 1:-1, 1:-1] = 0.2
    volume[2, 2, 2] = 0.7
    ((born, dead),) = void_pairs(volume)
    assert volume.ravel()[born] == 0.2
    assert dead == np.ravel_multi_index((2, 2, 2), volume.shape)


def test_dark_voxels_that_touch_at_an_edge_are_two_voids_and_bright_ones_one_component() -> None:
    volume = np.zeros((4, 4, 4))
    volume[1, 1, 1] = volume[1, 2, 2] = 1.0
    assert len(void_pairs(volume)) == 2
    assert len(component_pairs(1.0 - volume)) == 0


def test_a_hole_open_to_the_border_is_no_void() -> None:
    volume = np.zeros((3, 3, 3))
    volume[1, 1, 1] = volume[0, 1, 1] = 1.0
    assert len(void_pairs(volume)) == 0
