"""The list of all features as a page of documentation: ``dispr features --list``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dispr_cli.shape.features import image_features, mask_features
from dispr_cli.shape.features.feature import Feature
from dispr_cli.shape.features.planar import PLANAR_FEATURES
from dispr_cli.shape.features.registry import FAMILIES, SHAPE_FEATURES

_INTRODUCTION = """\
# Features

Written by `dispr features --list`; do not edit.

`dispr features` measures {shapes} features of every 3D shape and, where the cell's image and mask are
there, {planar} of those. The column *published* gives the name a feature has in SHAPR's notebooks; such
features are measured as there: on the whole voxels above Otsu's threshold, in voxels, the surface left
open where the grid cuts the cell. The others are measured on the smooth surface at half occupancy.

Units: `L` is a length, in micrometres where the size of a voxel is known, else in voxels; `voxel`,
`voxel²`, ... always count the grid; `1` is a pure number; `grey` a grey value of 0 to 255.

Unchanged by: *shift* along any axis; *turn* about the optical axis z; *rotation* about any axis; *flip*,
a mirror image in the plane; *upside down*, a mirror image along z; *scale*, another size. All as far as
the grid allows.
"""


def feature_page() -> str:
    """Write the page: a table for each family of features."""
    families = [(family.title, family.features) for family in FAMILIES]
    families += [("Mask", mask_features.FEATURES), ("Image", image_features.FEATURES)]
    lines = [_INTRODUCTION.format(shapes=len(SHAPE_FEATURES), planar=len(PLANAR_FEATURES))]
    for title, features in families:
        lines += [f"## {title}", "", *_table(features), ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(features: Sequence[Feature]) -> Iterator[str]:
    yield "| feature | unit | formula | source | unchanged by | published |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for feature in features:
        kept = ", ".join(sorted(feature.invariances)) or "-"
        cells = (f"`{feature.name}`", feature.unit, feature.formula, feature.source, kept)
        published = f"`{feature.published}`" if feature.published else ""
        yield "| " + " | ".join([*(cell.replace("|", "\\|") for cell in cells), published]) + " |"
