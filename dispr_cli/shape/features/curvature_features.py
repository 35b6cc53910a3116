"""How the smooth surface bends: quantiles of both curvatures, dents, saddles, bending energy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dispr_cli.shape.ball_sums import ball_sums
from dispr_cli.shape.curvature import gaussian_curvature, mean_curvature
from dispr_cli.shape.features.feature import ANY_POSE, Feature
from dispr_cli.shape.features.prepared import PreparedShape

RADIUS_VOXELS = 3.0
"""Radius of the balls over which curvature is averaged; being fixed, it sees more of a larger cell."""

MOST_POINTS = 1500
"""Vertices at which curvature is taken; more say nothing new, for neighbouring balls overlap."""

QUANTILES = (5, 25, 50, 75, 95)

_MEASURES = "Cohen-Steiner & Morvan 2003"

FEATURES = (
    *(
        Feature(
            f"{kind}_curvature_q{quantile:02d}",
            unit,
            f"{quantile} % quantile over the surface of the {kind} curvature, averaged within 3 voxels",
            _MEASURES,
            ANY_POSE,
        )
        for kind, unit in (("mean", "L⁻¹"), ("gaussian", "L⁻²"))
        for quantile in QUANTILES
    ),
    Feature(
        "concave_share", "1", "share of the surface whose mean curvature is negative", _MEASURES, ANY_POSE
    ),
    Feature(
        "saddle_share", "1", "share of the surface whose Gaussian curvature is negative", _MEASURES, ANY_POSE
    ),
    Feature(
        "bending_energy",
        "1",
        "integral of the squared mean curvature / (4 pi), 1 for a sphere",
        "Willmore 1965",
        ANY_POSE,
    ),
    Feature(
        "curvedness_mean",
        "1",
        "mean over the surface of sqrt(2 H² - K), times the radius of the sphere of equal area",
        "Koenderink & van Doorn 1992",
        ANY_POSE,
    ),
)


def measure_curvature_features(shape: PreparedShape) -> dict[str, float]:
    """Return the features listed above."""
    mean, gaussian, weights = local_curvatures(shape)
    values: dict[str, float] = {}
    for kind, curvatures in (("mean", mean), ("gaussian", gaussian)):
        found = _quantiles(curvatures, weights)
        values |= {f"{kind}_curvature_q{q:02d}": value for q, value in zip(QUANTILES, found, strict=True)}
    area = float(shape.surface.face_areas.sum())
    curvedness = np.sqrt(np.maximum(2 * mean**2 - gaussian, 0.0))
    return values | {
        "concave_share": float(weights[mean < 0].sum()),
        "saddle_share": float(weights[gaussian < 0].sum()),
        "bending_energy": float(weights @ mean**2 * area / (4 * np.pi)),
        "curvedness_mean": float(weights @ curvedness * np.sqrt(area / (4 * np.pi))),
    }


def local_curvatures(
    shape: PreparedShape,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Average both curvatures within balls around up to 1500 vertices.

    Returns
    -------
    mean, gaussian
        (P,) in L⁻¹ and L⁻²: the curvature measures of the ball divided by the area within it.
    weights
        (P,) share of the surface that each point stands for; they add up to 1.
    """
    mesh = shape.surface
    step = -(-len(mesh.vertices) // MOST_POINTS)
    points, radius = np.ascontiguousarray(mesh.vertices[::step]), RADIUS_VOXELS * shape.side
    sources = np.concatenate([mesh.vertices.T, mesh.vertex_areas[None]])
    areas = ball_sums(points, np.ascontiguousarray(sources), radius, radius)
    weights = mesh.vertex_areas[::step]
    mean = mean_curvature(mesh, radius, points) / areas
    gaussian = gaussian_curvature(mesh, radius, points) / areas
    return mean, gaussian, weights / weights.sum()


def _quantiles(values: NDArray[np.float64], weights: NDArray[np.float64]) -> list[float]:
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order]) - weights[order] / 2
    return [float(value) for value in np.interp(np.array(QUANTILES) / 100, share, values[order])]
