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
    sharp = torch.empty_like(field)
    # On a CPU one volume at a time stays in the cache, and new memory costs more than the arithmetic.
    at_once = 1 if field.device.type == "cpu" else len(field)
    shares = torch.empty_like(field[:at_once])
    for one, out in zip(field.split(at_once), sharp.split(at_once), strict=True):
        _blur(one, out)
        torch.lerp(out, one, 1.0 + amount, out=out)
        _shift(out, _volume(one, clip_distance, shares), clip_distance, shares)
    return sharp.clamp_(-1.0, 1.0)


def _shift(field: torch.Tensor, wanted: torch.Tensor, clip_distance: float, shares: torch.Tensor) -> None:
    """Add to each field what brings its volume to the one wanted."""
    volume = _volume(field, clip_distance, shares)
    # A Newton step. Voxels that the surface cuts have shares s spread evenly over [0, 1], so s (1 - s) is
    # 1/6 on average; they change clip_distance times as much as the field.
    cut = (6.0 * (volume - _total(shares.square_()))).clamp_min(1.0)
    shift = ((wanted - volume) / (cut * clip_distance)).clamp(-_MOST_SHIFT, _MOST_SHIFT)
    field.add_(shift.view(-1, 1, 1, 1, 1))


def _volume(field: torch.Tensor, clip_distance: float, shares: torch.Tensor) -> torch.Tensor:
    """Sum of the shares of each voxel inside, which are left in `shares`.

    They are those of :func:`dispr_cli.diffusion.representation.to_share`, in fewer passes.
    """
    torch.mul(field, 6.0 * clip_distance, out=shares)
    return _total(hardsigmoid(shares, inplace=True))


def _total(shares: torch.Tensor) -> torch.Tensor:
    """Sum of each of (N, 1, D, H, W), axis by axis: threads share no sum, so its last bit stays the same."""
    return shares.sum(-1).sum(-1).sum(-1).sum(-1)


def _blur(field: torch.Tensor, out: torch.Tensor) -> None:
    """Means of blocks, interpolated linearly between the blocks' middles and held beyond the outermost."""
    coarse = avg_pool3d(field, BLOCK)
    for axis in (4, 3):
        shape = [*coarse.shape]
        shape[axis] *= BLOCK
        finer = coarse.new_empty(shape)
        _interpolate(coarse, axis, finer)
        coarse = finer
    _interpolate(coarse, 2, out)


def _interpolate(coarse: torch.Tensor, axis: int, out: torch.Tensor) -> None:
    size = coarse.shape[axis]
    first, last = coarse.narrow(axis, 0, 1), coarse.narrow(axis, size - 1, 1)
    before = torch.cat([first, coarse.narrow(axis, 0, size - 1)], axis)
    after = torch.cat([coarse.narrow(axis, 1, size - 1), last], axis)
    for voxel, finer in enumerate(out.unflatten(axis, (size, BLOCK)).unbind(axis + 1)):
        # Middle of the voxel, in blocks from the middle of its block.
        place = (voxel + 0.5) / BLOCK - 0.5
        torch.lerp(coarse, before if place < 0.0 else after, abs(place), out=finer)
