"""Published measures of a whole shape: volume, surface, boundary, two roughnesses, curvature, convexity."""

from __future__ import annotations

import numpy as np

from dispr_cli.shape.convex_hull import voxels_within
from dispr_cli.shape.curvature import gaussian_curvature
from dispr_cli.shape.features.feature import ANY_POSE, NOTEBOOK, PLACED, Feature
from dispr_cli.shape.features.prepared import PreparedShape
from dispr_cli.shape.mesh import mesh_area
from dispr_cli.shape.moments import centre_of_mass
from dispr_cli.shape.roughness import boundary_voxels, gaussian_roughness, humphrey_roughness
from dispr_cli.shape.tangent_sphere import tangent_sphere_radius

FEATURES = (
    Feature("voxel_count", "voxel³", "voxels above Otsu's threshold", NOTEBOOK, ANY_POSE, "volume"),
    Feature(
        "voxel_surface_area",
        "voxel²",
        "area of the marching-cubes surface of the whole voxels",
        NOTEBOOK,
        ANY_POSE,
        "surface",
    ),
    Feature("occupied_share", "1", "voxel_count / voxels of the grid", NOTEBOOK, ANY_POSE, "mean"),
    Feature(
        "boundary_voxels",
        "voxel³",
        "inside voxels with an outside voxel among their 26 neighbours",
        NOTEBOOK,
        ANY_POSE,
        "boundary_3D",
    ),
    Feature(
        "tangent_sphere_curvature",
        "1",
        "mean over vertices of the discrete Gaussian curvature measure within the radius of the maximal "
        "tangent sphere at the centre of mass",
        f"{NOTEBOOK}; Cohen-Steiner & Morvan 2003",
        # Which of several equally near faces the sphere starts from is chance.
        PLACED,
        "shape_index",
    ),
    Feature(
        "roughness_humphrey",
        "voxel",
        "Frobenius norm of vertices minus Humphrey-smoothed vertices",
        f"{NOTEBOOK}; Vollmer, Mencl & Mueller 1999",
        ANY_POSE,
        "roughness",
    ),
    Feature(
        "roughness_gaussian",
        "voxel³",
        "voxels changed by a Gaussian blur (sigma 2) thresholded at one half",
        NOTEBOOK,
        ANY_POSE,
        "gauss_roughness",
    ),
    Feature(
        "hull_excess",
        "voxel³",
        "voxels of the convex hull of the voxels' face centres, minus voxel_count",
        NOTEBOOK,
        ANY_POSE,
        "convexity",
    ),
)


def measure_volume_features(shape: PreparedShape) -> dict[str, float]:
    """Return the features listed above; one that has no value is NaN."""
    voxels = int(np.count_nonzero(shape.inside))
    mesh = shape.voxel_surface
    return {
        "voxel_count": float(voxels),
        "voxel_surface_area": mesh_area(mesh),
        "occupied_share": voxels / shape.inside.size,
        "boundary_voxels": float(boundary_voxels(shape.inside)),
        "tangent_sphere_curvature": _tangent_sphere_curvature(shape),
        "roughness_humphrey": humphrey_roughness(mesh),
        "roughness_gaussian": float(gaussian_roughness(shape.inside)),
        "hull_excess": float(voxels_within(shape.voxel_hull, shape.inside.shape) - voxels),
    }


def _tangent_sphere_curvature(shape: PreparedShape) -> float:
    radius = tangent_sphere_radius(shape.voxel_surface.inside_out(), centre_of_mass(shape.inside))
    if np.isnan(radius):
        return radius
    # The point can lie outside a bent cell, where the search may end in a sphere turned inside out.
    return float(gaussian_curvature(shape.voxel_surface, abs(radius)).mean())
