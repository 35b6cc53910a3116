"""Size and compactness of the smooth surface: volume, area, sphericity, how much a convex hull adds."""

from __future__ import annotations

import numpy as np

from dispr_cli.shape.features.feature import ABOUT_PLANE, ANY_POSE, FORM, SCALE, Feature
from dispr_cli.shape.features.prepared import PreparedShape
from dispr_cli.shape.mesh import mesh_area, mesh_volume, z_extent

_GEOMETRY = "elementary geometry"

FEATURES = (
    Feature("volume", "L³", "V, volume within the surface", _GEOMETRY, ANY_POSE),
    Feature("surface_area", "L²", "S, area of the surface", _GEOMETRY, ANY_POSE),
    Feature(
        "equivalent_diameter",
        "L",
        "(6 V / pi)^(1/3), diameter of the sphere of volume V",
        _GEOMETRY,
        ANY_POSE,
    ),
    Feature(
        "sphericity",
        "1",
        "pi^(1/3) (6 V)^(2/3) / S, 1 for a sphere, less for all others",
        "Wadell 1935",
        FORM,
    ),
    Feature("surface_to_volume", "L⁻¹", "S / V", _GEOMETRY, ANY_POSE),
    Feature("solidity", "1", "V / volume of the convex hull", _GEOMETRY, FORM),
    Feature("hull_area_ratio", "1", "area of the convex hull / S", _GEOMETRY, FORM),
    Feature("z_extent", "L", "length of the surface along z", _GEOMETRY, ABOUT_PLANE),
    Feature("z_extent_ratio", "1", "z_extent / equivalent_diameter", _GEOMETRY, ABOUT_PLANE | {SCALE}),
)


def measure_size_features(shape: PreparedShape) -> dict[str, float]:
    """Return the features listed above."""
    volume, area = mesh_volume(shape.surface), mesh_area(shape.surface)
    diameter, height = float(np.cbrt(6 * volume / np.pi)), z_extent(shape.surface)
    return {
        "volume": volume,
        "surface_area": area,
        "equivalent_diameter": diameter,
        "sphericity": float(np.cbrt(np.pi) * np.cbrt(6 * volume) ** 2 / area),
        "surface_to_volume": area / volume,
        "solidity": volume / shape.hull.content,
        "hull_area_ratio": shape.hull.boundary / area,
        "z_extent": height,
        "z_extent_ratio": height / diameter,
    }
