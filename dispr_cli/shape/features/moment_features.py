"""Published moments of the voxels: ratios of raw moments, and the eigenvalues of inertia."""

from __future__ import annotations

import numpy as np

from dispr_cli.shape.features.feature import ANY_POSE, NOTEBOOK, PLACED, UPSIDE, Feature
from dispr_cli.shape.features.prepared import PreparedShape
from dispr_cli.shape.moments import inertia_eigenvalues

FEATURES = (
    *(
        Feature(
            f"moment_{axis}_weighted_z{power}",
            "voxel",
            f"sum {axis} z^{power} / sum z^{power} over the voxels: centre along {axis}, weights z^{power}",
            NOTEBOOK,
            PLACED if power else frozenset({UPSIDE}),
            f"moment_{column}{power}_v",
        )
        for power in range(3)
        for axis, column in (("x", "cr"), ("y", "cc"))
    ),
    *(
        Feature(
            f"inertia_eigenvalue_{rank}",
            "voxel²",
            f"principal moment of inertia of the voxels / their number, {rank} from the largest",
            NOTEBOOK,
            ANY_POSE,
            f"inertia_eigvals{rank}",
        )
        for rank in range(3)
    ),
)


def measure_moment_features(shape: PreparedShape) -> dict[str, float]:
    """Return the features listed above; a ratio whose weights are all 0 is NaN."""
    inside = shape.inside
    depth, height, width = inside.shape
    along_x, along_y = inside.sum(axis=1) @ np.arange(width), inside.sum(axis=2) @ np.arange(height)
    counts = inside.sum(axis=(1, 2))
    values = {}
    for power in range(3):
        weights = np.arange(depth, dtype=np.float64) ** power
        mass = float(weights @ counts) or np.nan
        values[f"moment_x_weighted_z{power}"] = float(weights @ along_x / mass)
        values[f"moment_y_weighted_z{power}"] = float(weights @ along_y / mass)
    eigenvalues = inertia_eigenvalues(inside)
    return values | {f"inertia_eigenvalue_{rank}": float(eigenvalues[rank]) for rank in range(3)}
