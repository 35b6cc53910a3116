from __future__ import annotations

import pytest
import torch

from dispr_cli.diffusion.held_out_metrics import HeldOut, measured


def boxes(*lengths: int) -> torch.Tensor:
    """One bar of each length along x, in (N, 1, 2, 2, 16)."""
    inside = torch.zeros(len(lengths), 1, 2, 2, 16, dtype=torch.bool)
    for bar, length in zip(inside, lengths, strict=True):
        bar[0, :, :, :length] = True
    return inside


def test_metrics_are_means_over_cells() -> None:
    found = measured(boxes(8, 10), boxes(4, 15), boxes(8, 15))
    # IoU 4/8 and 10/15, and 1 and 10/15; volume errors 4/8 and 5/10, and 0 and 5/10; overlaps 4/8 and 1.
    assert found.ious == pytest.approx((3 / 4, 2 / 3))
    assert found.volume_errors == pytest.approx((1 / 4, 1 / 2))
    assert found.iou == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert found.volume_error == pytest.approx(3 / 8)
    assert found.sample_iou == pytest.approx(0.75)
    assert found.num_cells == 2


def test_one_answer_equals_itself_and_an_empty_one_meets_nothing() -> None:
    assert measured(boxes(8), boxes(0)) == HeldOut(0.0, 1.0, 1.0, 1, (0.0,), (1.0,))
    assert measured(boxes(8), boxes(8), boxes(0)) == HeldOut(0.5, 0.5, 0.0, 1, (0.5,), (0.5,))
