"""All features at once: names, what each declares unchanged, and the reference values of the real cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dispr_cli.errors import CellError
from dispr_cli.shape.features.feature import FLIP, ROTATION, SCALE, SHIFT, TURN, UPSIDE
from dispr_cli.shape.features.planar import PLANAR_FEATURES
from dispr_cli.shape.features.registry import FAMILIES, SHAPE_FEATURES, measure_shape
from tests.shape.solids import occupancy, places


def lopsided(count: int = 64, size: float = 1.0) -> np.ndarray:
    """A smooth shape without any symmetry, with a bay, amid a grid of 64."""
    z, y, x = (axis / size for axis in places((count,) * 3))
    body = np.sqrt((z / 0.7) ** 2 + y**2 + (x / 1.2) ** 2) - 11
    bump = np.sqrt((z - 4) ** 2 + (y - 8) ** 2 + (x + 6) ** 2) - 6
    foot = np.sqrt((z + 6) ** 2 + (y + 4) ** 2 + (x - 9) ** 2) - 4
    bay = 5.5 - np.sqrt((z - 5) ** 2 + (y + 9) ** 2 + (x - 2) ** 2)
    return occupancy(np.maximum(np.minimum(np.minimum(body, bump), foot), bay) * size, 1.5)


SHAPE = np.rint(lopsided() * 255).astype(np.uint8)
CHANGES: dict[str, list[Callable[[np.ndarray], np.ndarray]]] = {
    SHIFT: [lambda volume: np.roll(volume, (2, -3, 4), (0, 1, 2))],
    TURN: [lambda volume: np.rot90(volume, 1, (1, 2))],
    ROTATION: [lambda volume: np.rot90(volume, 1, (0, 1)), lambda volume: np.rot90(volume, 1, (0, 2))],
    FLIP: [lambda volume: volume[:, ::-1], lambda volume: volume[:, :, ::-1]],
    UPSIDE: [lambda volume: volume[::-1]],
}
LOOSE = {"curvature_q": 0.01, "share": 0.04, "power": 2e-3, "bending": 0.1, "curvedness": 0.02}
"""Absolute; points are sampled along the mesh's own order and spheres along z, which depends on the pose."""


def tolerance_of(name: str, value: float) -> float:
    # Marching cubes cuts a square one way or the other, which moves areas and angles by a few thousandths.
    return 0.01 * abs(value) + max((share for word, share in LOOSE.items() if word in name), default=2e-3)


@pytest.fixture(scope="module")
def values() -> dict[str, float]:
    return measure_shape(SHAPE)


def test_there_are_enough_features_and_each_is_described_once(values: dict[str, float]) -> None:
    every = (*SHAPE_FEATURES, *PLANAR_FEATURES)
    assert len(SHAPE_FEATURES) >= 128 + 60
    assert len({feature.name for feature in every}) == len(every)
    assert sum(bool(feature.published) for feature in SHAPE_FEATURES) == 126
    assert all(f.unit and f.formula and f.source and f.name.isidentifier() for f in every)
    assert list(values) == [feature.name for feature in SHAPE_FEATURES]
    assert np.isfinite(list(values.values())).all()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.title)
def test_a_family_measures_what_it_lists(family) -> None:
    from dispr_cli.shape.features.prepared import PreparedShape

    assert list(family.measure(PreparedShape(SHAPE))) == [feature.name for feature in family.features]


@pytest.mark.parametrize("kind", CHANGES)
def test_declared_invariances_hold(kind: str, values: dict[str, float]) -> None:
    for change in CHANGES[kind]:
        changed = measure_shape(np.ascontiguousarray(change(SHAPE)))
        moved = {
            feature.name: (values[feature.name], changed[feature.name])
            for feature in SHAPE_FEATURES
            if kind in feature.invariances
            and abs(values[feature.name] - changed[feature.name])
            > tolerance_of(feature.name, values[feature.name])
        }
        assert not moved


@pytest.mark.parametrize("kind", CHANGES)
def test_what_is_not_declared_does_change(kind: str, values: dict[str, float]) -> None:
    unchanged = {feature.name for feature in SHAPE_FEATURES if kind not in feature.invariances}
    for change in CHANGES[kind]:
        changed = measure_shape(np.ascontiguousarray(change(SHAPE)))
        unchanged = {name for name in unchanged if values[name] == changed[name]}
    # Empty sections, medians of half numbers, and chance in which face is nearest may stay as they are.
    lucky = ("section_", "tangent_", "vertex_coordinate_median", "face_index_median")
    assert not {name for name in unchanged if not name.startswith(lucky)}


def test_forms_do_not_depend_on_size() -> None:
    small, large = measure_shape(lopsided(size=0.8)), measure_shape(lopsided(size=1.15))
    for feature in SHAPE_FEATURES:
        if SCALE in feature.invariances:
            a, b = small[feature.name], large[feature.name]
            assert abs(a - b) < 0.15 * max(abs(a), abs(b)) + 0.02, feature.name


def test_units_follow_the_voxel_size(values: dict[str, float]) -> None:
    physical = measure_shape(SHAPE, 0.25)
    powers = {"L": 1, "L²": 2, "L³": 3, "L⁻¹": -1, "L⁻²": -2}
    for feature in SHAPE_FEATURES:
        factor = 0.25 ** powers.get(feature.unit, 0)
        expected = values[feature.name] * factor
        assert physical[feature.name] == pytest.approx(expected, rel=1e-6, abs=1e-9), feature.name


def test_an_empty_shape_says_so() -> None:
    with pytest.raises(CellError, match="empty"):
        measure_shape(np.zeros((8, 8, 8), np.uint8))


def test_odd_shapes_have_values_or_say_why_not() -> None:
    lone, half, full = np.zeros((8, 8, 8), bool), np.zeros((8, 8, 8), bool), np.ones((8, 8, 8), bool)
    lone[4, 4, 4] = half[:4] = True
    assert measure_shape(lone)["voxel_count"] == 1
    assert measure_shape(half)["mesh_hull_volume"] == 0
    assert measure_shape(half)["volume"] == pytest.approx(4 * 8 * 8, rel=0.1)
    with pytest.raises(CellError, match="fills the whole grid"):
        measure_shape(full)


COLUMNS = {
    "voxel_count": ("volume", 0),
    # The reference added the areas up in single precision.
    "voxel_surface_area": ("surface", 1e-6),
    "num_vertices": ("num_verts", 0),
    "num_faces": ("num_faces", 0),
    "boundary_voxels": ("boundary_3d", 0),
    "roughness_humphrey": ("roughness_humphrey", 1e-9),
    "roughness_gaussian": ("roughness_gauss", 0),
    "mesh_volume": ("mesh_volume", 1e-9),
    "mesh_hull_volume": ("convex_hull_volume", 1e-9),
    "inertia_eigenvalue_0": ("inertia_eigval0", 1e-9),
    "inertia_eigenvalue_1": ("inertia_eigval1", 1e-9),
    "inertia_eigenvalue_2": ("inertia_eigval2", 1e-9),
}


def test_real_cells_as_the_reference_says(real_cells) -> None:
    for reference, volume in real_cells[::9]:
        measured = measure_shape(volume)
        for name, (column, tolerance) in COLUMNS.items():
            assert measured[name] == pytest.approx(reference[column], rel=tolerance or 1e-15), name
