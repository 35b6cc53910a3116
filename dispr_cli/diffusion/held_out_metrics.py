"""How well shapes of held-out cells were met, for whoever follows a training."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How the network does on cells it is not trained on (means over cells).

    Attributes
    ----------
    iou
        Of one sample with the truth.
    volume_error
        |V - V_true| / V_true of one sample.
    sample_iou
        Overlap of two samples of a cell with each other: the closer to 1, the less they differ.
    num_cells
        How many cells were tried.
    ious, volume_errors
        Of each cell, for a comparison in pairs.
    """

    iou: float
    volume_error: float
    sample_iou: float
    num_cells: int = 0
    ious: tuple[float, ...] = ()
    volume_errors: tuple[float, ...] = ()


def measured(true: torch.Tensor, sample: torch.Tensor, another: torch.Tensor | None = None) -> HeldOut:
    """Compare samples with the truth, a cell's two as one by their mean, and with each other.

    Parameters
    ----------
    true
        (N, 1, D, H, W) bool, which voxels lie inside each cell.
    sample, another
        The same of two samples of each; None where a method has one answer, which equals itself.
    """
    drawn, true_volume = [sample] if another is None else [sample, another], _voxels(true)
    ious = torch.stack([_iou(one, true) for one in drawn]).mean(0)
    errors = torch.stack([(_voxels(one) - true_volume).abs() / true_volume for one in drawn]).mean(0)
    return HeldOut(
        float(ious.mean()),
        float(errors.mean()),
        1.0 if another is None else float(_iou(sample, another).mean()),
        len(true),
        tuple(ious.tolist()),
        tuple(errors.tolist()),
    )


def _voxels(inside: torch.Tensor) -> torch.Tensor:
    # On the CPU: Apple's GPUs have no float64.
    return inside.sum((1, 2, 3, 4)).cpu().double()


def _iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return _voxels(a & b) / _voxels(a | b).clamp_min(1.0)
