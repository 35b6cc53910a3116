"""The loss of the first step: estimates that are samples, not means.

At the highest noise level nothing of the shape is left, and an estimate of least squares is the mean of all
shapes that fit an image: every sample starts from the same one. Here two estimates of one cell, from
independent noise, are scored together: both are to be near the true shape and, half as much, far from each
other. The expected score is least where they are distributed as the shapes that fit (energy score, Gneiting
and Raftery, JASA 102, 2007, eq. 21; for generators Shen and Meinshausen, arXiv 2307.00835; for diffusion
De Bortoli et al., arXiv 2502.02483). So one call of the network draws a sample with an honest spread.
"""

from __future__ import annotations

import torch

from dispr_cli.diffusion.field_area import field_area, field_volume

FIELD_WEIGHT = 2.0
SIZE_WEIGHT = 0.5
"""Weights of the score of fields and of those of volume and area, which users read off the shapes."""

MEAN_WEIGHT = 2.0
"""Weight of the squared error of the samples' mean, which their vote is near to."""

_LEAST = 1e-6


def first_step_loss(
    one: torch.Tensor, other: torch.Tensor, target: torch.Tensor, clip_distance: float
) -> torch.Tensor:
    """Energy score of two estimates as fields, as volumes and as surface areas, and the error of their mean.

    Parameters
    ----------
    one, other
        (N, 1, D, H, W) fields estimated from noise of the highest level, drawn independently.
    target
        (N, 1, D, H, W) true fields.
    clip_distance
        Voxels per unit of the fields.

    Returns
    -------
    (N,)
    """
    # The product of two independent errors is on average the squared error of their mean.
    loss = MEAN_WEIGHT * ((one - target) * (other - target)).mean((1, 2, 3, 4))
    loss = loss + FIELD_WEIGHT * _score(
        _distance(one, target), _distance(other, target), _distance(one, other)
    )
    for measure in (field_volume, field_area):
        a, b, true = (measure(field, clip_distance) for field in (one, other, target))
        # In one dimension the energy score is the CRPS; relative, so that large cells count no more.
        loss = loss + SIZE_WEIGHT * _score(
            (a - true).abs(), (b - true).abs(), (a - b).abs()
        ) / true.clamp_min(1.0)
    return loss


def _score(one: torch.Tensor, other: torch.Tensor, between: torch.Tensor) -> torch.Tensor:
    """Unbiased energy score of two samples, given their distances from the truth and from each other."""
    return 0.5 * (one + other - between)


def _distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Root mean square difference, (N,); smooth where the two are equal."""
    return ((a - b).square().mean((1, 2, 3, 4)) + _LEAST).sqrt()
