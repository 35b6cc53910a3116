from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from dispr_cli.inputs.phantoms.clusters import draw_cell_cluster
from dispr_cli.inputs.phantoms.placement import Placement, levels

# The cluster at three fifths of its size, so that even a long one fits the grid.
SMALL = Placement(np.eye(3), 1.0, 0.6, np.full(3, 31.5))


@pytest.mark.parametrize("seed", range(12))
def test_cells_of_a_cluster_touch_without_running_through_each_other(seed):
    draft = draw_cell_cluster(np.random.default_rng(seed))
    cells = [levels([body], SMALL) > 0 for body in draft.bodies]
    assert len(cells) == draft.traits["cells"] >= 2
    together = np.logical_or.reduce(cells)
    assert ndimage.label(ndimage.binary_dilation(together, iterations=2))[1] == 1
    overlap = sum(cell.sum() for cell in cells) - together.sum()
    assert overlap < 0.15 * min(cell.sum() for cell in cells)
