"""The eight orientations are all there are, exact, and each is undone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dispr_cli.diffusion.orientation import ORIENTATIONS, turn, turn_back


@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_turning_back_undoes_turning(orientation: int) -> None:
    volume = torch.rand(3, 4, 6, 6)
    assert torch.equal(turn_back(turn(volume, orientation), orientation), volume)


def test_no_two_orientations_are_the_same_and_the_first_is_none() -> None:
    plane = torch.arange(9.0).view(3, 3)
    turned = [tuple(turn(plane, k).flatten().tolist()) for k in range(ORIENTATIONS)]
    assert len(set(turned)) == 8
    assert torch.equal(turn(plane, 0), plane)


def test_depth_stays() -> None:
    volume = np.zeros((5, 4, 4), np.float32)
    volume[3] = 1.0
    turned = turn(torch.from_numpy(volume), 5)
    assert float(turned[3].sum()) == 16.0
