"""The eight in-plane orientations of a cell: quarter turns and mirror images, exact on a square grid.

A microscope knows no direction in its plane, so a cell turned by a quarter is as good a cell. Each sample is
drawn in an orientation of its own and turned back: what the network has learned of directions by chance then
differs between the samples instead of being common to all of them.
"""

from __future__ import annotations

import torch

ORIENTATIONS = 8


def turn(x: torch.Tensor, orientation: int) -> torch.Tensor:
    """Bring the last two axes (y, x) into one of the eight orientations; 0 leaves them as they are."""
    x = torch.rot90(x, orientation % 4, (-2, -1))
    return x.flip(-1) if orientation >= 4 else x


def turn_back(x: torch.Tensor, orientation: int) -> torch.Tensor:
    """Undo :func:`turn`."""
    x = x.flip(-1) if orientation >= 4 else x
    return torch.rot90(x, -(orientation % 4), (-2, -1))
