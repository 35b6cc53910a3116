from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.shape.depth import depths
from tests.shape.solids import blob


@pytest.mark.parametrize("seed", range(5))
def test_depths_are_those_of_scipy(seed: int) -> None:
    from scipy.ndimage import distance_transform_edt

    inside = blob(seed) > 0.5
    expected = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1, 1:-1][inside]
    np.testing.assert_allclose(depths(inside), expected, rtol=1e-12)


def test_beyond_the_grid_is_outside() -> None:
    assert depths(np.ones((5, 7, 9), bool)).max() == 3
    assert len(depths(np.zeros((2, 2, 2), bool))) == 0
