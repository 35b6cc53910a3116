"""Between the steps of a sampler: the details of an estimate brought out before noise is added to it again.

The first step draws a whole shape from noise. Where it hardly knows on which side of a surface a voxel lies,
its field wavers a little around 0; the noise of the second step is larger than that and would decide instead,
and surfaces would break up into streaks. Unsharp masking raises what varies over a few voxels above it.
"""

from __future__ import annotations

import torch
from torch.nn.functional import avg_pool3d, hardsigmoid

BLOCK = 4
"""Voxels along the side of the blocks whose means, joined linearly, are the blurred field."""

_MOST_SHIFT = 0.25
"""Bound on what is added to keep a volume, for fields that have next to no surface."""


def sharpen(field: torch.Tensor, amount: float, clip_distance: float) -> torch.Tensor:
    """Take a field further from its blurred self, and keep the volume that it encloses.

    Parameters
    ----------
    field
        (N, 1, D, H, W) in [-1, 1], float32; D, H and W are multiples of :data:`BLOCK`.
    amount
        How much of the difference to the blurred field is added; 0 changes nothing.
    clip_distance
        Voxels per unit of the field.

    Returns
    -------
    (N, 1, D, H, W) in [-1, 1]. Volumes are kept to first order.
    """
    if amount == 0.0:
        return field
    if field.device.type != "cpu":
        return _sharpened(field, amount, clip_distance)
    # One volume at a time stays in the cache: a quarter of the time.
    return torch.cat([_sharpened(one, amount, clip_distance) for one in field.split(1)])


def _sharpened(field: torch.Tensor, amount: float, clip_distance: float) -> torch.Tensor:
    sharp = torch.lerp(_blurred(field), field, 1.0 + amount)
    share = _share(sharp, clip_distance)
    volume, wanted = _total(share), _total(_share(field, clip_distance))
    # A Newton step. Voxels that the surface cuts have shares s spread evenly over [0, 1], so s (1 - s) is
    # 1/6 on average; they change clip_distance times as much as the field.
    cut = (6.0 * (volume - _total(share.square_()))).clamp_min(1.0)
    shift = ((wanted - volume) / (cut * clip_distance)).clamp(-_MOST_SHIFT, _MOST_SHIFT)
    return sharp.add_(shift.view(-1, 1, 1, 1, 1)).clamp_(-1.0, 1.0)


def _share(field: torch.Tensor, clip_distance: float) -> torch.Tensor:
    """Share of each voxel inside, as :func:`dispr_cli.diffusion.representation.to_share`, in fewer passes."""
    return hardsigmoid(6.0 * clip_distance * field)


def _total(share: torch.Tensor) -> torch.Tensor:
    """Sum of each of (N, 1, D, H, W), axis by axis: threads share no sum, so its last bit stays the same."""
    return share.sum(-1).sum(-1).sum(-1).sum(-1)


def _blurred(field: torch.Tensor) -> torch.Tensor:
    """Means of blocks, interpolated linearly between the blocks' middles and held beyond the outermost."""
    coarse = avg_pool3d(field, BLOCK)
    for axis in (4, 3, 2):
        coarse = _interpolated(coarse, axis)
    return coarse


def _interpolated(coarse: torch.Tensor, axis: int) -> torch.Tensor:
    size = coarse.shape[axis]
    first, last = coarse.narrow(axis, 0, 1), coarse.narrow(axis, size - 1, 1)
    before = torch.cat([first, coarse.narrow(axis, 0, size - 1)], axis)
    after = torch.cat([coarse.narrow(axis, 1, size - 1), last], axis)
    # Middles of a block's voxels, in blocks from the middle of the block.
    places = [(voxel + 0.5) / BLOCK - 0.5 for voxel in range(BLOCK)]
    between = [torch.lerp(coarse, before if place < 0.0 else after, abs(place)) for place in places]
    return torch.stack(between, axis + 1).flatten(axis, axis + 1)
