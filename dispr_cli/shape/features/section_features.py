"""Published "Gabor features" of all sections across z: in effect their areas, from the bottom to the top."""

from __future__ import annotations

import numpy as np

from dispr_cli.shape.features.feature import IN_PLANE, NOTEBOOK, Feature
from dispr_cli.shape.features.prepared import PreparedShape
from dispr_cli.shape.features.texture import gabor_kernel_sum

NUM_SECTIONS = 64

FEATURES = tuple(
    Feature(
        f"section_gabor_{section:02d}",
        "voxel²",
        f"section z = {section} filtered by a Gabor filter of 1 cycle per pixel, summed; equals 1.0078 times "
        "the section's area",
        NOTEBOOK,
        IN_PLANE,
        f"gabor{section}",
    )
    for section in range(NUM_SECTIONS)
)


def measure_section_features(shape: PreparedShape) -> dict[str, float]:
    """Return the features listed above; sections beyond a smaller grid are 0."""
    areas = shape.inside.sum(axis=(1, 2))[:NUM_SECTIONS]
    filtered = np.zeros(NUM_SECTIONS)
    filtered[: len(areas)] = areas * gabor_kernel_sum(1.0)
    return dict(zip((feature.name for feature in FEATURES), filtered.tolist(), strict=True))
