"""Features of solids whose values are known: balls, spheroids, cylinders, tori."""

from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.shape.features.registry import measure_shape
from tests.shape.solids import ball, cylinder, spheroid, torus

SIDE = 0.5
SAMPLED = ("inscribed_radius", "depth_mean")
"""Distances between centres of voxels, true to half a voxel."""


@pytest.fixture(scope="module")
def sphere() -> dict[str, float]:
    return measure_shape(ball(16), SIDE)


def test_a_ball(sphere: dict[str, float]) -> None:
    radius = 16 * SIDE
    expected = {
        "volume": 4 / 3 * np.pi * radius**3,
        "surface_area": 4 * np.pi * radius**2,
        "equivalent_diameter": 2 * radius,
        "sphericity": 1,
        "solidity": 1,
        "hull_area_ratio": 1,
        "z_extent": 2 * radius,
        "z_extent_ratio": 1,
        "surface_to_volume": 3 / radius,
        "feret_max": 2 * radius,
        "feret_min": 2 * radius,
        "feret_mean": 2 * radius,
        "semi_axis_long": radius,
        "semi_axis_short": radius,
        "elongation": 1,
        "flatness": 1,
        "integrated_mean_curvature": 4 * np.pi * radius,
        "mean_breadth": 2 * radius,
        "shapefinder_thickness": radius,
        "shapefinder_breadth": radius,
        "shapefinder_length": radius,
        "mean_curvature_q50": 1 / radius,
        "gaussian_curvature_q50": 1 / radius**2,
        "bending_energy": 1,
        "curvedness_mean": 1,
        "projected_area": np.pi * radius**2,
        "thickness_mean": 4 / 3 * radius,
        "thickness_max": 2 * radius,
        "inscribed_radius": radius,
        "depth_mean": radius / 4,
    }
    for name, value in expected.items():
        assert sphere[name] == pytest.approx(value, rel=0.08 if name in SAMPLED else 0.05), name
    for name in ("concave_share", "saddle_share", "radius_variation", "planarity", "filamentarity"):
        assert sphere[name] == pytest.approx(0, abs=0.02), name
    assert (sphere["euler_number"], sphere["num_pieces"], sphere["num_hollows"]) == (1, 1, 0)
    assert sphere["star_share"] == pytest.approx(1)
    assert max(sphere[f"radial_power_{degree:02d}"] for degree in range(1, 11)) < 1e-3
    # A ball's occupancy on every sphere around its centre is the same in all directions.
    assert sphere["shell_power_00"] > 0.99


def test_a_spheroid() -> None:
    polar, equatorial = 8.0, 16.0
    found = measure_shape(spheroid(polar, equatorial))
    assert found["semi_axis_long"] == pytest.approx(equatorial, rel=0.01)
    assert found["semi_axis_short"] == pytest.approx(polar, rel=0.02)
    assert found["elongation"] == pytest.approx(1, abs=0.01)
    assert found["flatness"] == pytest.approx(polar / equatorial, rel=0.02)
    assert found["tilt"] == pytest.approx(0, abs=1)
    assert (found["feret_max"], found["feret_min"]) == pytest.approx((2 * equatorial, 2 * polar), rel=0.02)
    assert found["feret_in_plane_ratio"] == pytest.approx(1, abs=0.02)
    # At the poles H = c / a², at the rim H = (a / c + c / a) / (2 c) with a the equatorial radius.
    assert found["mean_curvature_q05"] == pytest.approx(polar / equatorial**2, rel=0.15)
    eccentricity = np.sqrt(1 - (polar / equatorial) ** 2)
    area = 2 * np.pi * equatorial**2 * (1 + (1 - eccentricity**2) / eccentricity * np.arctanh(eccentricity))
    assert found["surface_area"] == pytest.approx(area, rel=0.01)
    assert found["dimple"] == pytest.approx(1, abs=0.06)
    assert found["radial_power_02"] > 10 * found["radial_power_01"]


def test_a_cylinder() -> None:
    radius, height = 12.0, 10.0
    found = measure_shape(cylinder(radius, height))
    assert found["integrated_mean_curvature"] == pytest.approx(np.pi * (height + np.pi * radius), rel=0.03)
    assert found["dimple"] == pytest.approx(1, abs=0.02)
    assert found["thickness_q50"] == pytest.approx(height, rel=0.01)
    assert found["solidity"] == pytest.approx(1, abs=0.02)
    assert found["skewness_z"] == pytest.approx(0, abs=0.02)


def test_a_torus() -> None:
    large, small = 14.0, 5.0
    found = measure_shape(np.pad(torus(large, small), ((8, 8), (0, 0), (0, 0))))
    assert found["euler_number"] == 0
    assert found["volume"] == pytest.approx(2 * np.pi**2 * large * small**2, rel=0.02)
    assert found["surface_area"] == pytest.approx(4 * np.pi**2 * large * small, rel=0.02)
    assert found["integrated_mean_curvature"] == pytest.approx(2 * np.pi**2 * large, rel=0.02)
    # Willmore: the integral of H² is pi² q² / sqrt(q² - 1) for the ratio q of the radii.
    ratio = large / small
    bending = np.pi**2 * ratio**2 / np.sqrt(ratio**2 - 1) / (4 * np.pi)
    assert found["bending_energy"] == pytest.approx(bending, rel=0.08)
    # The inner half has negative Gaussian curvature: its share is 1 / 2 - small / (pi large).
    assert found["saddle_share"] == pytest.approx(0.5 - small / (np.pi * large), abs=0.04)
    assert found["star_share"] < 0.5
    assert found["dimple"] < 0.8
