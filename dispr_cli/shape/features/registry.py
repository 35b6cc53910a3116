"""Every feature of a shape, family by family: what there is, and all values of one volume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from dispr_cli.shape.features import (
    axes_features,
    curvature_features,
    feret_features,
    harmonics_features,
    mesh_features,
    minkowski_features,
    moment_features,
    projection_features,
    section_features,
    size_features,
    slice_features,
    thickness_features,
    volume_features,
)
from dispr_cli.shape.features.feature import Feature
from dispr_cli.shape.features.prepared import PreparedShape


@dataclass(frozen=True, slots=True)
class Family:
    """Features that are measured together.

    Attributes
    ----------
    title
        What they are about.
    features
        What is known of each.
    measure
        Computes all of them for one shape.
    """

    title: str
    features: tuple[Feature, ...]
    measure: Callable[[PreparedShape], dict[str, float]]


FAMILIES = (
    Family("Whole shape, as published", volume_features.FEATURES, volume_features.measure_volume_features),
    Family("Central slices, as published", slice_features.FEATURES, slice_features.measure_slice_features),
    Family(
        "Projection along z, as published",
        projection_features.FEATURES,
        projection_features.measure_projection_features,
    ),
    Family(
        "Sections across z, as published",
        section_features.FEATURES,
        section_features.measure_section_features,
    ),
    Family("Moments, as published", moment_features.FEATURES, moment_features.measure_moment_features),
    Family("Mesh, as published", mesh_features.FEATURES, mesh_features.measure_mesh_features),
    Family("Size and compactness", size_features.FEATURES, size_features.measure_size_features),
    Family("Feret diameters", feret_features.FEATURES, feret_features.measure_feret_features),
    Family("Principal axes", axes_features.FEATURES, axes_features.measure_axes_features),
    Family(
        "Minkowski functionals", minkowski_features.FEATURES, minkowski_features.measure_minkowski_features
    ),
    Family("Curvature", curvature_features.FEATURES, curvature_features.measure_curvature_features),
    Family("Thickness and depth", thickness_features.FEATURES, thickness_features.measure_thickness_features),
    Family("Spherical harmonics", harmonics_features.FEATURES, harmonics_features.measure_harmonics_features),
)

SHAPE_FEATURES = tuple(feature for family in FAMILIES for feature in family.features)
"""Every feature of a 3D shape, in the order of the tables."""


def measure_shape(volume: NDArray[Any], voxel_size_um: float | None = None) -> dict[str, float]:
    """Measure every feature of one volume.

    Parameters
    ----------
    volume
        (Z, Y, X): uint8 grey values, float occupancy in [0, 1], or bool.
    voxel_size_um
        Side of a voxel in micrometres; with None lengths are in voxels.

    Returns
    -------
    dict
        A number for each of :data:`SHAPE_FEATURES`, in that order; NaN where it has no value.

    Raises
    ------
    CellError
        If the volume is not one of the three kinds, or is empty.
    """
    shape = PreparedShape(volume, voxel_size_um)
    values: dict[str, float] = {}
    for family in FAMILIES:
        measured = family.measure(shape)
        values |= {feature.name: measured[feature.name] for feature in family.features}
    return values
