"""Published measures of the mesh around whole voxels: counts, statistics of its arrays, volumes, inertia."""

from __future__ import annotations

import numpy as np

from dispr_cli.shape.convex_hull import convex_hull
from dispr_cli.shape.features.feature import ABOUT_Z, ANY_POSE, NOTEBOOK, PLACED, SHIFT, Feature
from dispr_cli.shape.features.prepared import PreparedShape
from dispr_cli.shape.mesh import mesh_volume
from dispr_cli.shape.solid_inertia import solid_inertia

_EBERLY = f"{NOTEBOOK}; Eberly 2002"

FEATURES = (
    Feature("num_faces", "1", "triangles of the marching-cubes surface", NOTEBOOK, ANY_POSE, "num_faces"),
    Feature("num_vertices", "1", "its vertices", NOTEBOOK, ANY_POSE, "num_verts"),
    *(
        Feature(
            f"face_index_{statistic}",
            "1",
            f"{statistic} of all vertex indices in the list of faces, a proxy of num_vertices",
            NOTEBOOK,
            frozenset({SHIFT}),
            f"{column}_faces",
        )
        for statistic, column in (("mean", "mean"), ("median", "median"), ("sd", "std"))
    ),
    *(
        Feature(
            f"vertex_coordinate_{statistic}",
            "voxel",
            f"{statistic} of all coordinates of all vertices, z, y and x together",
            NOTEBOOK,
            PLACED,
            f"{column}_verts",
        )
        for statistic, column in (("mean", "mean"), ("median", "median"), ("sd", "std"))
    ),
    Feature("mesh_volume", "voxel³", "volume within the mesh", _EBERLY, ANY_POSE, "mesh_volume"),
    Feature(
        "mesh_hull_volume",
        "voxel³",
        "volume of its convex hull",
        NOTEBOOK,
        ANY_POSE,
        "mesh_convex_hull_volume",
    ),
    *(
        Feature(
            f"mesh_inertia_{row}{column}",
            "voxel⁵",
            f"component {row}{column} of the mesh's inertia tensor about its centre of mass, density 1",
            _EBERLY,
            frozenset({SHIFT}) if row != "z" or column != "z" else ABOUT_Z,
            f"mesh_intertia{3 * first + second}",
        )
        for first, row in enumerate("zyx")
        for second, column in enumerate("zyx")
    ),
    *(
        Feature(
            f"mesh_principal_inertia_{rank}",
            "voxel⁵",
            f"principal moment of that tensor, number {rank} from the smallest",
            _EBERLY,
            ANY_POSE,
            f"mesh_principal0{rank}",
        )
        for rank in range(3)
    ),
    *(
        Feature(
            f"mesh_principal_axis_{rank}_{axis}",
            "1",
            f"component {axis} of the unit vector along that moment's axis, its largest component positive",
            NOTEBOOK,
            frozenset({SHIFT}),
            f"mesh_principal1{3 * rank + place}",
        )
        for rank in range(3)
        for place, axis in enumerate("zyx")
    ),
)


def measure_mesh_features(shape: PreparedShape) -> dict[str, float]:
    """Return the features listed above, signs as for normals that point outwards."""
    mesh = shape.voxel_surface
    values = {"num_faces": float(len(mesh.faces)), "num_vertices": float(len(mesh.vertices))}
    for name, numbers in (("face_index", mesh.faces), ("vertex_coordinate", mesh.vertices)):
        values[f"{name}_mean"] = float(numbers.mean())
        values[f"{name}_median"] = float(np.median(numbers))
        values[f"{name}_sd"] = float(numbers.std())
    values |= {"mesh_volume": -mesh_volume(mesh), "mesh_hull_volume": _hull_volume(shape)}
    return values | _inertia_values(shape)


def _hull_volume(shape: PreparedShape) -> float:
    """Measure the hull of the open surface, which may be flat where the grid cuts all other sides off."""
    from scipy.spatial import QhullError

    if not shape.touches_border:
        return shape.voxel_hull.content
    try:
        return convex_hull(shape.voxel_surface.vertices).content
    except QhullError:
        return 0.0


def _inertia_values(shape: PreparedShape) -> dict[str, float]:
    tensor = solid_inertia(shape.voxel_surface.inside_out())
    moments, vectors = np.linalg.eigh(tensor)
    # The sign of an eigenvector is arbitrary; a rule makes equal shapes equal.
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), range(3)])
    axes = (vectors * signs).T
    values = {
        f"mesh_inertia_{r}{c}": float(tensor[i, j]) for i, r in enumerate("zyx") for j, c in enumerate("zyx")
    }
    values |= {f"mesh_principal_inertia_{rank}": float(moments[rank]) for rank in range(3)}
    return values | {
        f"mesh_principal_axis_{rank}_{axis}": float(axes[rank, place])
        for rank in range(3)
        for place, axis in enumerate("zyx")
    }
