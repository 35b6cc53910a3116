"""Geometric peers: closed forms on drawn outlines, and the numbers known for the real cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from dispr_cli.baselines.geometric import GeometricMethod, cylinder, ellipsoid, inflate
from dispr_cli.baselines.nearest import CellBank, NearestMethod
from dispr_cli.baselines.outline import edge_distance, fill_outline, fit_ellipse
from dispr_cli.errors import ConfigError
from dispr_cli.inputs.cell import Cell
from dispr_cli.method import Method
from dispr_cli.shape.errors import iou, relative_error, slice_iou, volume_error
from dispr_cli.shape.mesh import surface_area
from tests.baselines.drawn import cell_of, draw_ellipse

A, B = 18.0, 12.0

EVERY = [cylinder(), cylinder("full"), ellipsoid(), ellipsoid("full"), inflate()]


def shape_of(method: Method, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.asarray(method.reconstruct([cell_of(mask)], 1, seed=0)[0, 0])


def volume_of(occupancy: NDArray[np.uint8]) -> float:
    return float(occupancy.sum() / 255.0)


@pytest.mark.parametrize(("variant", "height"), [("published", (A + B) / 2), ("full", A + B)])
def test_cylinder_volume_is_base_times_height(variant: str, height: float) -> None:
    mask = draw_ellipse(A, B)
    assert volume_of(shape_of(cylinder(variant), mask)) == pytest.approx(mask.sum() * height, rel=0.01)


@pytest.mark.parametrize(("variant", "semi_z"), [("published", (A + B) / 4), ("full", (A + B) / 2)])
def test_ellipsoid_volume_and_symmetry(variant: str, semi_z: float) -> None:
    shape = shape_of(ellipsoid(variant), draw_ellipse(A, B))
    assert volume_of(shape) == pytest.approx(4 / 3 * np.pi * A * B * semi_z, rel=0.02)
    np.testing.assert_array_equal(shape[1:], shape[:0:-1])  # z = 32 is the middle
    half_height = shape[32:, 31, 31].sum() / 255 - 0.5
    assert half_height == pytest.approx(semi_z, abs=0.1)


def test_a_disc_inflates_to_a_ball() -> None:
    shape = shape_of(inflate(), draw_ellipse(15, 15))
    assert volume_of(shape) == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.02)
    z, y, x = np.indices(shape.shape)
    radius = np.sqrt((z - 32) ** 2 + (y - 31.5) ** 2 + (x - 31.5) ** 2)
    assert np.abs(radius[(shape > 64) & (shape < 192)] - 15).max() < 1.0


def test_the_ellipse_of_a_turned_ellipse() -> None:
    y, x = np.indices((64, 64)) - np.array([30.0, 34.0])[:, None, None]
    along, across = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
    found = fit_ellipse((along / 20) ** 2 + (across / 9) ** 2 <= 1)
    np.testing.assert_allclose(found.semi_axes, [20, 9], rtol=0.01)
    np.testing.assert_allclose(found.centre, [30, 34], atol=0.01)
    np.testing.assert_allclose(np.abs(found.directions), np.full((2, 2), np.sqrt(0.5)), atol=0.01)
    assert found.directions[0, 0] * found.directions[1, 0] > 0


def test_only_the_largest_part_decides_the_ellipse() -> None:
    mask = draw_ellipse(A, B)
    speck = mask.copy()
    speck[1, 1] = True
    np.testing.assert_allclose(fit_ellipse(speck).semi_axes, fit_ellipse(mask).semi_axes)


def test_edge_distance_is_half_a_pixel_at_the_edge() -> None:
    mask = np.zeros((8, 8), bool)
    mask[2:6, 2:] = True
    distance = edge_distance(mask)
    assert distance[2, 4] == 0.5
    assert distance[1, 4] == -0.5
    assert distance[3, 7] == 0.5  # the border of the array is an edge


@pytest.mark.parametrize("method", EVERY, ids=lambda m: f"{m.name}-{m.variant}")
class TestEvery:
    def test_samples_are_the_same_shape_and_it_says_so(self, method: GeometricMethod) -> None:
        cells = [cell_of(draw_ellipse(A, B)), cell_of(draw_ellipse(9, 9, (20, 40)))]
        volumes = method.reconstruct(cells, 3, seed=1)
        assert volumes.shape == (2, 3, 64, 64, 64)
        assert volumes.dtype == np.uint8
        np.testing.assert_array_equal(volumes[:, 0], volumes[:, 2])
        np.testing.assert_array_equal(volumes, method.reconstruct(cells, 3, seed=2))
        assert "same shape for every sample" in method.describe()
        assert method.identity()["deterministic"] is True

    def test_the_focal_slice_is_the_outline(self, method: GeometricMethod) -> None:
        mask = draw_ellipse(A, B)
        shape = shape_of(method, mask)
        overlap = (shape[32] > 127) & mask
        assert overlap.sum() / ((shape[32] > 127) | mask).sum() > 0.97

    def test_the_middle_of_a_symmetric_mask_is_inside(self, method: GeometricMethod) -> None:
        shape = shape_of(method, draw_ellipse(A, B, (32, 32)))
        assert shape[32, 32, 32] == 255

    def test_holes_are_filled(self, method: GeometricMethod) -> None:
        mask = draw_ellipse(A, B)
        ring = mask & ~draw_ellipse(4, 4)
        np.testing.assert_array_equal(shape_of(method, ring), shape_of(method, mask))

    def test_odd_masks_give_odd_shapes_not_errors(self, method: GeometricMethod) -> None:
        single = np.zeros((64, 64), bool)
        assert not shape_of(method, single).any()
        single[5, 60] = True
        assert shape_of(method, single)[32, 5, 60] > 127
        line = np.zeros((64, 64), bool)
        line[10, :] = True
        assert shape_of(method, line)[32, 10, 32] > 127
        assert shape_of(method, np.ones((64, 64), bool))[32, 8:56, 16:48].all()


def test_the_surface_is_sub_voxel() -> None:
    # A height that is no whole number shows in the grey values of the cap.
    shape = shape_of(cylinder(), draw_ellipse(10, 10.5))
    half_height = shape[:, 31, 31].sum() / 255 / 2
    assert half_height == pytest.approx(fit_ellipse(draw_ellipse(10, 10.5)).mean_semi_axis / 2, abs=0.01)


@pytest.mark.parametrize("make", [cylinder, ellipsoid])
def test_an_unknown_variant_is_told(make: type) -> None:
    with pytest.raises(ConfigError, match=r"'half'.*published or full"):
        make("half")


@pytest.fixture(scope="module")
def real(real_cells: Path) -> tuple[list[Cell], NDArray[np.uint8]]:
    names = sorted(path.name for path in (real_cells / "obj").iterdir())
    cells = [cell_of(tifffile.imread(real_cells / "mask" / name) > 127, name) for name in names]
    return cells, np.stack([tifffile.imread(real_cells / "obj" / name) for name in names])


@pytest.fixture(scope="module")
def real_areas(real: tuple[list[Cell], NDArray[np.uint8]]) -> list[float]:
    """Areas of the true binary surfaces."""
    return [surface_area(truth > 127) for truth in real[1]]


def real_bank(real: tuple[list[Cell], NDArray[np.uint8]]) -> CellBank:
    cells, truths = real
    masks = np.stack([fill_outline(cell.mask) for cell in cells])
    return CellBank(tuple(cell.name for cell in cells), truths, masks)


@pytest.mark.parametrize(
    ("method", "expected", "tolerance"),
    [
        (cylinder(), (0.53, 0.32, 0.26), (0.006, 0.006, 0.006)),
        (cylinder("full"), (0.52, 0.62, 0.28), (0.006, 0.006, 0.006)),
        (ellipsoid("full"), (0.54, 0.35, 0.24), (0.006, 0.006, 0.006)),
        (ellipsoid(), (0.42, 0.42, 0.44), (0.006, 0.006, 0.006)),
        (inflate(), (0.57, 0.31, 0.22), (0.02, 0.03, 0.03)),
        (1, (0.50, 0.28, 0.21), (0.02, 0.03, 0.03)),
        (5, (0.53, 0.24, 0.19), (0.02, 0.03, 0.03)),
    ],
    ids=["cylinder", "cylinder-full", "ellipsoid-full", "ellipsoid", "inflate", "nearest", "nearest-5"],
)
def test_known_scores_on_real_cells(
    real: tuple[list[Cell], NDArray[np.uint8]],
    real_areas: list[float],
    method: Method | int,
    expected: tuple[float, ...],
    tolerance: tuple[float, ...],
) -> None:
    """IoU, volume error and error of the binary surface, means over the 108 cells."""
    if isinstance(method, int):
        method = NearestMethod(real_bank(real), method, exclude_same_name=True)
    scores = []
    for cell, truth, area in zip(*real, real_areas, strict=True):
        shape = method.reconstruct([cell], 1, seed=0)[0, 0]
        surface_error = relative_error(surface_area(shape > 127), area)
        scores.append((iou(shape, truth), volume_error(shape, truth), surface_error))
    assert (np.abs(np.mean(scores, 0) - expected) <= tolerance).all(), np.mean(scores, 0)


def test_the_focal_slice_of_real_cells_fits(real: tuple[list[Cell], NDArray[np.uint8]]) -> None:
    cells, truths = real
    for method in (cylinder(), inflate()):
        overlaps = [
            slice_iou(shape_of(method, c.mask), t) for c, t in zip(cells[::6], truths[::6], strict=True)
        ]
        assert np.mean(overlaps) > 0.97
