"""Feret diameters: distances of parallel planes that touch the shape, and of its outline seen along z."""

from __future__ import annotations

import numpy as np

from dispr_cli.shape.convex_hull import convex_hull, longest_width, mean_width, shortest_width
from dispr_cli.shape.features.feature import ABOUT_PLANE, ANY_POSE, FORM, SCALE, Feature
from dispr_cli.shape.features.prepared import PreparedShape

_FERET = "Feret 1930"

FEATURES = (
    Feature("feret_max", "L", "largest distance of two points of the surface", _FERET, ANY_POSE),
    Feature(
        "feret_min",
        "L",
        "least width across faces of the convex hull and 1024 even directions",
        _FERET,
        ANY_POSE,
    ),
    Feature("feret_mean", "L", "mean width over 1024 even directions", _FERET, ANY_POSE),
    Feature("feret_ratio", "1", "feret_min / feret_max", _FERET, FORM),
    Feature(
        "feret_in_plane_max", "L", "largest Feret diameter of the outline seen along z", _FERET, ABOUT_PLANE
    ),
    Feature("feret_in_plane_min", "L", "least Feret diameter of that outline", _FERET, ABOUT_PLANE),
    Feature("feret_in_plane_ratio", "1", "their ratio", _FERET, ABOUT_PLANE | {SCALE}),
)


def measure_feret_features(shape: PreparedShape) -> dict[str, float]:
    """Return the features listed above."""
    outline = convex_hull(np.ascontiguousarray(shape.hull.corners[:, 1:]))
    longest, shortest = longest_width(shape.hull), shortest_width(shape.hull)
    longest_seen, shortest_seen = longest_width(outline), shortest_width(outline)
    return {
        "feret_max": longest,
        "feret_min": shortest,
        "feret_mean": mean_width(shape.hull),
        "feret_ratio": shortest / longest,
        "feret_in_plane_max": longest_seen,
        "feret_in_plane_min": shortest_seen,
        "feret_in_plane_ratio": shortest_seen / longest_seen,
    }
