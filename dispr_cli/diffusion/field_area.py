"""Volume and surface area of a field, differentiable, and a loss against estimates smoother than cells.

A least-squares estimate is a mean over all shapes that fit, and a mean is smoother than each of them. Where
the noise has left the shape and hides its details, the network is told to keep the area as well.
"""

from __future__ import annotations

import torch

from dispr_cli.diffusion.representation import to_share

STEEPNESS = 2.0
"""How much faster than over one voxel the occupancy falls, so that the level of one half counts most."""

HIGHEST_SIGMA = 12.0
"""Noise level above which details are not known, and a sharp estimate would be a guess."""

_LEAST_SLOPE = 1e-3


def field_volume(field: torch.Tensor, clip_distance: float) -> torch.Tensor:
    """Volume inside the zero level of (N, 1, D, H, W) fields, (N,) in voxels."""
    return to_share(field[:, 0].float(), clip_distance * STEEPNESS).sum((1, 2, 3))


def field_area(field: torch.Tensor, clip_distance: float) -> torch.Tensor:
    """Area of the surface at zero, as the integral of the occupancy's slope (coarea formula).

    Parameters
    ----------
    field
        (N, 1, D, H, W).

    Returns
    -------
    (N,) in squares of a voxel's side, of cells that do not reach the border of the grid.
    """
    share = to_share(field[:, 0].float(), clip_distance * STEEPNESS)
    slopes = []
    for axis in (1, 2, 3):
        along = share.diff(dim=axis)
        # Each difference at the middle of a cube of eight voxels, where all three meet.
        for other in {1, 2, 3} - {axis}:
            size = along.shape[other]
            along = 0.5 * (along.narrow(other, 1, size - 1) + along.narrow(other, 0, size - 1))
        slopes.append(along)
    square = torch.stack(slopes).square().sum(0)
    # The root has no gradient at 0, where most of the grid is.
    slope = (square + _LEAST_SLOPE**2).sqrt() - _LEAST_SLOPE
    return slope.sum((1, 2, 3))


def area_loss(
    estimate: torch.Tensor, target: torch.Tensor, sigma: torch.Tensor, clip_distance: float
) -> torch.Tensor:
    """Squared relative error of the area, summed over the examples of low noise.

    Parameters
    ----------
    estimate, target
        (N, 1, D, H, W) fields.
    sigma
        (N,) noise levels, on the CPU: looking at them must not wait for the device.
    """
    low = torch.nonzero(sigma < HIGHEST_SIGMA)[:, 0].to(estimate.device)
    if len(low) == 0:
        return estimate.new_zeros(())
    area, true_area = (field_area(field[low], clip_distance) for field in (estimate, target))
    return (area / true_area.clamp_min(1.0) - 1.0).square().sum()
