"""Principal axes of the solid: the ellipsoid of equal inertia, elongation, flatness, lopsidedness."""

from __future__ import annotations

import numpy as np

from dispr_cli.shape.features.feature import ABOUT_PLANE, ABOUT_Z, ANY_POSE, FORM, SCALE, Feature
from dispr_cli.shape.features.prepared import PreparedShape
from dispr_cli.shape.solid_moments import solid_moments

_INERTIA = "second moments of the solid"
_SKEW = "third moments of the solid"

FEATURES = (
    *(
        Feature(
            f"semi_axis_{which}",
            "L",
            f"sqrt(5 l{rank}), l1 >= l2 >= l3 the variances along the principal axes",
            _INERTIA,
            ANY_POSE,
        )
        for rank, which in ((1, "long"), (2, "middle"), (3, "short"))
    ),
    Feature("elongation", "1", "sqrt(l2 / l1), 1 where no direction is longest", _INERTIA, FORM),
    Feature("flatness", "1", "sqrt(l3 / l2), 1 where no direction is flattest", _INERTIA, FORM),
    Feature(
        "tilt", "degree", "angle between the shortest axis and z, 0 to 90", _INERTIA, ABOUT_PLANE | {SCALE}
    ),
    *(
        Feature(
            f"skewness_{which}_axis",
            "1",
            f"|third moment| / variance^1.5 along the {which} axis",
            _SKEW,
            FORM,
        )
        for which in ("long", "middle", "short")
    ),
    Feature(
        "skewness_z", "1", "third moment / variance^1.5 along z, with its sign", _SKEW, ABOUT_Z | {SCALE}
    ),
    Feature(
        "centre_height",
        "1",
        "(height of the centre of mass - middle of the extent along z) / extent",
        _INERTIA,
        ABOUT_Z | {SCALE},
    ),
)


def measure_axes_features(shape: PreparedShape) -> dict[str, float]:
    """Return the features listed above; one whose variance is 0 is NaN."""
    moments = solid_moments(shape.occupancy)
    # A voxel is a cube, not a point: its own variance keeps thin shapes from having none.
    solid = moments.second + np.eye(3) / 12
    variances, vectors = (array[..., ::-1] for array in np.linalg.eigh(solid))
    skewnesses = [abs(moments.third_along(vectors[:, axis])) / variances[axis] ** 1.5 for axis in range(3)]
    sections = np.flatnonzero(shape.occupancy.any(axis=(1, 2)))
    middle, extent = (sections[0] + sections[-1]) / 2, sections[-1] - sections[0] + 1
    names = ("long", "middle", "short")
    values = {
        **{f"semi_axis_{name}": np.sqrt(5 * variances[axis]) * shape.side for axis, name in enumerate(names)},
        "elongation": np.sqrt(variances[1] / variances[0]),
        "flatness": np.sqrt(variances[2] / variances[1]),
        "tilt": np.degrees(np.arccos(min(abs(vectors[0, 2]), 1.0))),
        **{f"skewness_{name}_axis": skewnesses[axis] for axis, name in enumerate(names)},
        "skewness_z": moments.third[0, 0, 0] / solid[0, 0] ** 1.5,
        "centre_height": (moments.centre[0] - middle) / extent,
    }
    return {name: float(value) for name, value in values.items()}
