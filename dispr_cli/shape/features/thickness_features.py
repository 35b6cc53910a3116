"""How thick the cell is along z, pixel by pixel, and how deep its inside lies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dispr_cli.shape.depth import depths
from dispr_cli.shape.features.feature import ABOUT_PLANE, ANY_POSE, SCALE, Feature
from dispr_cli.shape.features.prepared import PreparedShape

CENTRE_SHARE = 0.25
"""Share of the projection's area, around its middle, that counts as the centre."""

_EVANS = "Evans & Fung 1972, where the thickness profile defines a discocyte"
_DEPTH = "Euclidean distance transform"

FEATURES = (
    Feature(
        "projected_area",
        "L²",
        "area of the pixels with a voxel more than half full above them",
        _EVANS,
        ABOUT_PLANE,
    ),
    Feature(
        "thickness_mean", "L", "mean over these pixels of the length inside along z", _EVANS, ABOUT_PLANE
    ),
    Feature("thickness_sd", "L", "standard deviation of it", _EVANS, ABOUT_PLANE),
    *(
        Feature(f"thickness_q{quantile}", "L", f"{quantile} % quantile of it", _EVANS, ABOUT_PLANE)
        for quantile in (10, 50, 90)
    ),
    Feature("thickness_max", "L", "its largest value", _EVANS, ABOUT_PLANE),
    Feature(
        "dimple",
        "1",
        "mean thickness of the quarter of these pixels nearest their middle / thickness_q90",
        _EVANS,
        ABOUT_PLANE | {SCALE},
    ),
    Feature(
        "inscribed_radius",
        "L",
        "largest distance of an inside voxel to the nearest outside one, less half a voxel",
        _DEPTH,
        ANY_POSE,
    ),
    Feature("depth_mean", "L", "mean of that distance over the inside voxels", _DEPTH, ANY_POSE),
)


def measure_thickness_features(shape: PreparedShape) -> dict[str, float]:
    """Return the features listed above."""
    seen = np.asarray(shape.filled.any(axis=0))
    values = shape.occupancy.sum(axis=0, dtype=np.float64)[seen] * shape.side
    quantiles = np.quantile(values, (0.1, 0.5, 0.9))
    inner = (depths(shape.filled) - 0.5) * shape.side
    return {
        "projected_area": float(len(values) * shape.side**2),
        "thickness_mean": float(values.mean()),
        "thickness_sd": float(values.std()),
        **{f"thickness_q{q}": float(value) for q, value in zip((10, 50, 90), quantiles, strict=True)},
        "thickness_max": float(values.max()),
        "dimple": _central_mean(seen, values) / float(quantiles[2]),
        "inscribed_radius": float(inner.max()),
        "depth_mean": float(inner.mean()),
    }


def _central_mean(seen: NDArray[np.bool_], values: NDArray[np.float64]) -> float:
    places = np.argwhere(seen)
    distances = np.linalg.norm(places - places.mean(axis=0), axis=1)
    return float(values[distances <= np.quantile(distances, CENTRE_SHARE)].mean())
