"""Published features beside scikit-image and trimesh, which made the published ones."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from skimage import measure
from skimage.feature import graycomatrix, graycoprops
from skimage.filters import gabor
from skimage.morphology import convex_hull_image

from dispr_cli.shape.features.prepared import PreparedShape
from dispr_cli.shape.features.registry import measure_shape
from tests.shape.features.test_registry import SHAPE


@pytest.fixture(scope="module")
def shape() -> PreparedShape:
    return PreparedShape(SHAPE)


@pytest.fixture(scope="module")
def values() -> dict[str, float]:
    return measure_shape(SHAPE)


def test_slices(shape: PreparedShape, values: dict[str, float]) -> None:
    from scipy.ndimage import binary_dilation

    cuts = {"xy": shape.inside[32], "xz": shape.inside[:, 32], "yz": shape.inside[:, :, 32]}
    for plane, cut in cuts.items():
        assert values[f"slice_{plane}_hull_excess"] == convex_hull_image(cut).sum() - cut.sum()
        assert values[f"slice_{plane}_boundary"] == (binary_dilation(~cut, np.ones((3, 3))) & cut).sum()


def test_projection(shape: PreparedShape, values: dict[str, float]) -> None:
    projection = shape.inside.sum(axis=0)
    matrix = graycomatrix(projection.astype(np.uint8), [5], [0], 256, symmetric=True, normed=True)
    expected = {
        "projection_glcm_dissimilarity": graycoprops(matrix, "dissimilarity")[0, 0],
        "projection_glcm_correlation": graycoprops(matrix, "correlation")[0, 0],
        "projection_gabor": gabor(projection.astype(float), 1)[0].sum(),
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, rel=1e-9)


def test_sections_are_areas_and_gabor_sums(shape: PreparedShape, values: dict[str, float]) -> None:
    for section in (0, 28, 32, 40):
        cut = shape.inside[section].astype(float)
        assert values[f"section_gabor_{section:02d}"] == pytest.approx(gabor(cut, 1)[0].sum(), rel=1e-9)


def test_moments(shape: PreparedShape, values: dict[str, float]) -> None:
    moments = measure.moments(shape.inside.astype(float))
    for power in range(3):
        mass = moments[power][0, 0]
        assert values[f"moment_x_weighted_z{power}"] == pytest.approx(moments[power][0, 1] / mass, rel=1e-9)
        assert values[f"moment_y_weighted_z{power}"] == pytest.approx(moments[power][1, 0] / mass, rel=1e-9)


def test_mesh(shape: PreparedShape, values: dict[str, float]) -> None:
    vertices, faces, _, _ = measure.marching_cubes(shape.inside * 255.0)
    theirs = trimesh.Trimesh(vertices, faces[:, ::-1], process=False)
    tensor = theirs.moment_inertia
    for i, row in enumerate("zyx"):
        for j, column in enumerate("zyx"):
            assert values[f"mesh_inertia_{row}{column}"] == pytest.approx(tensor[i, j], rel=1e-6, abs=1)
    components, axes = trimesh.inertia.principal_axis(tensor)
    for rank in range(3):
        assert values[f"mesh_principal_inertia_{rank}"] == pytest.approx(components[rank], rel=1e-6)
        ours = np.array([values[f"mesh_principal_axis_{rank}_{axis}"] for axis in "zyx"])
        assert abs(ours @ axes[rank]) == pytest.approx(1, abs=1e-6)
        assert ours[np.abs(ours).argmax()] > 0
    assert values["face_index_mean"] == pytest.approx(faces.mean())
    assert values["vertex_coordinate_sd"] == pytest.approx(vertices.std(), rel=1e-4)
    assert values["vertex_coordinate_median"] == np.median(vertices)


def test_hull(shape: PreparedShape, values: dict[str, float]) -> None:
    # scikit-image takes seconds for all planes, so the shape is cropped, which changes nothing.
    cropped = shape.inside[10:54, 8:56, 8:56]
    assert cropped.sum() == shape.inside.sum()
    assert values["hull_excess"] == convex_hull_image(cropped).sum() - cropped.sum()
