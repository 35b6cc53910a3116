"""What the network sees of a volume: its signed distance field, clipped and scaled to [-1, 1].

Distances survive rotation and scaling, and their zero crossing keeps the
sub-voxel position of the surface.
"""

from __future__ import annotations

import torch


def to_field(distance: torch.Tensor, clip_distance: float) -> torch.Tensor:
    """Signed distance in voxels -> the network's field in [-1, 1]."""
    return (distance / clip_distance).clamp(-1.0, 1.0)


def to_share(field: torch.Tensor, clip_distance: float) -> torch.Tensor:
    """Field -> share of each voxel inside, in [0, 1]; it falls over one voxel at the zero crossing."""
    return (field * clip_distance + 0.5).clamp(0.0, 1.0)


def to_occupancy(field: torch.Tensor, clip_distance: float) -> torch.Tensor:
    """Field -> occupancy uint8; the inverse of ``signed_distance`` at the surface.

    The occupancy falls from 255 to 0 over one voxel, so its 127.5 level is the field's zero crossing.
    """
    return (to_share(field.float(), clip_distance) * 255.0).round().to(torch.uint8)
