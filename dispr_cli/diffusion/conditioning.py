"""What the network is told of a cell: its image and mask, and the slice that is known.

The condition is three planes of 64 x 64: the signed distance to the mask's
outline, the image inside the mask (the membrane and the haze above and below
it), and the whole image. The known slice is z = 32, where the cell is cut by the focal plane.
"""

from __future__ import annotations

import torch

from dispr_cli.config import FOCAL_SLICE

CONDITION_PLANES = 3
OUTLINE_RANGE = 8.0

LEAST_DISTANCE = 0.1
"""Voxels by which the focal slice must lie on the mask's side of the surface; more would show its pixels."""


def condition_planes(image: torch.Tensor, outline: torch.Tensor) -> torch.Tensor:
    """Stack the planes the condition encoder reads.

    Parameters
    ----------
    image
        (N, 64, 64) float in [0, 1].
    outline
        (N, 64, 64) signed distance to the mask's outline in pixels.

    Returns
    -------
    (N, 3, 64, 64)
    """
    inside = (outline > 0).to(image.dtype)
    return torch.stack(
        [outline.clamp(-OUTLINE_RANGE, OUTLINE_RANGE) / OUTLINE_RANGE, image * inside, image], 1
    )


def keep_known_slice_(field: torch.Tensor, outline: torch.Tensor, clip_distance: float) -> torch.Tensor:
    """Make the focal slice of a predicted field agree with the mask, in place (replacement as in RePaint).

    Only the sign is imposed, and as gently as possible: the surface of a cell is slanted, so the
    field may be smaller than the in-plane distance but never on the other side of zero.

    Parameters
    ----------
    field
        (N, 1, 64, 64, 64) predicted field; changed.
    outline
        (N, 64, 64) signed distance to the mask's outline in pixels.
    """
    least = (outline.clamp(-LEAST_DISTANCE, LEAST_DISTANCE) / clip_distance).to(field.dtype)
    focal = field[:, 0, FOCAL_SLICE]
    field[:, 0, FOCAL_SLICE] = torch.where(
        outline > 0, torch.maximum(focal, least), torch.minimum(focal, least)
    )
    return field
