"""Signed distance fields of stored volumes and masks (scipy is needed here and nowhere else in the room)."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from dispr_cli.config import FOREGROUND

STORED_RANGE = 12.0
"""Voxels at which a field is clipped: wide enough to survive a resampling before the network's own clip."""


def signed_distance(occupancy: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Distance of every voxel (or pixel) to the surface, positive inside.

    Parameters
    ----------
    occupancy
        Any shape, uint8, foreground above 127.5.

    Returns
    -------
    Signed distance in voxels, float32, clipped to ±:data:`STORED_RANGE`. The two layers of voxels at
    the surface take their sub-voxel distance from the grey value: a plane that covers the share v of
    a voxel lies v - 1/2 from its centre.
    """
    inside = occupancy >= FOREGROUND
    if not inside.any():
        return np.full(occupancy.shape, -STORED_RANGE, np.float32)
    if inside.all():
        return np.full(occupancy.shape, STORED_RANGE, np.float32)
    depth = distance_transform_edt(inside)
    height = distance_transform_edt(~inside)
    distance = np.where(inside, depth - 0.5, 0.5 - height)
    surface = np.abs(distance) <= 0.5
    distance[surface] = np.clip(occupancy[surface] / 255.0 - 0.5, -0.5, 0.5)
    return cast("NDArray[np.float32]", np.clip(distance, -STORED_RANGE, STORED_RANGE).astype(np.float32))


def outline_distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Signed in-plane distance to a mask's outline in pixels, (64, 64) float32, positive inside."""
    return signed_distance(mask.astype(np.uint8) * np.uint8(255))
