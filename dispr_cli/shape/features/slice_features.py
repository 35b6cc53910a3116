"""Published measures of the three central slices: their boundaries and convexities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dispr_cli.shape.convex_hull import convex_hull, voxels_within
from dispr_cli.shape.features.feature import IN_PLANE, NOTEBOOK, UPSIDE, Feature
from dispr_cli.shape.features.prepared import PreparedShape
from dispr_cli.shape.roughness import boundary_voxels

PLANES = ("xy", "xz", "yz")
"""Slices across z, y and x, in this order, at the middle of the grid."""

# The notebooks spell the first boundary without its d.
_PUBLISHED = {"xy": "xy_bounary", "xz": "xz_boundary", "yz": "yz_boundary"}

FEATURES = (
    *(
        Feature(
            f"slice_{plane}_boundary",
            "voxel²",
            f"inside pixels of the central {plane} slice with an outside pixel among their 8 neighbours",
            NOTEBOOK,
            IN_PLANE if plane == "xy" else frozenset({UPSIDE}),
            _PUBLISHED[plane],
        )
        for plane in PLANES
    ),
    *(
        Feature(
            f"slice_{plane}_hull_excess",
            "voxel²",
            f"pixels of the convex hull of the central {plane} slice, minus its own pixels",
            NOTEBOOK,
            IN_PLANE if plane == "xy" else frozenset({UPSIDE}),
            f"{plane}_convexity",
        )
        for plane in PLANES
    ),
)


def measure_slice_features(shape: PreparedShape) -> dict[str, float]:
    """Return the features listed above; 0 for a slice without a cell."""
    centre = [length // 2 for length in shape.inside.shape]
    slices = (shape.inside[centre[0]], shape.inside[:, centre[1]], shape.inside[:, :, centre[2]])
    values = {
        f"slice_{plane}_boundary": boundary_pixels(cut) for plane, cut in zip(PLANES, slices, strict=True)
    }
    return values | {
        f"slice_{plane}_hull_excess": hull_excess(cut) for plane, cut in zip(PLANES, slices, strict=True)
    }


def boundary_pixels(inside: NDArray[np.bool_]) -> float:
    """Count the inside pixels (Y, X) with an outside pixel among their 8 neighbours within the picture."""
    return float(boundary_voxels(np.ascontiguousarray(inside)[None]))


def hull_excess(inside: NDArray[np.bool_]) -> float:
    """Count the outside pixels (Y, X) within the convex hull of the inside pixels' edge midpoints."""
    if not inside.any():
        return 0.0
    hull = convex_hull(edge_midpoints(inside))
    return float(voxels_within(hull, inside.shape) - np.count_nonzero(inside))


def edge_midpoints(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """List the midpoints of the edges of each row's and column's first and last inside pixel, (N, 2)."""
    ends = []
    for axis in (0, 1):
        lines = np.flatnonzero(inside.any(axis=axis))
        along = inside[:, lines] if axis == 0 else inside[lines].T
        first, last = along.argmax(axis=0), len(along) - 1 - along[::-1].argmax(axis=0)
        for places, half in ((first, -0.5), (last, 0.5)):
            pair = (places + half, lines + 0.0)
            ends.append(np.stack(pair if axis == 0 else pair[::-1], axis=1))
    return np.concatenate(ends)
