"""What features of true 3D shapes and of 2D images tell about classes of real cells, by set of features.

    python -m benchmarks.classification ../shared/data/rbc --out benchmarks/results/classification.json

Measures the cells (or reads --table, made by ``dispr features``), then tests sets of features on repeated
stratified folds: those of the published notebooks, the further ones, a few simple ones of each kind, all.
Known for these cells: 18 simple 2D features give a macro F1 of 0.52 ± 0.04, 15 measures of the true shapes
0.81 ± 0.01. The table in docs/study.md is written from the result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import sklearn

from dispr_cli.classification.classify import true_indices
from dispr_cli.classification.labels import labels_from_names
from dispr_cli.classification.tables import assemble
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.morphology.measure import measure_to_table
from dispr_cli.morphology.sources import find_shapes
from dispr_cli.morphology.table import FeatureTable, read_table
from dispr_cli.report.class_tables import markdown_table
from dispr_cli.shape.features.planar import PLANAR_FEATURES
from dispr_cli.shape.features.registry import FAMILIES, SHAPE_FEATURES
from dispr_cli.study.class_scores import score_answers
from dispr_cli.study.contest import StudyData
from dispr_cli.study.forest import NONE, ForestConfig, fit_forest
from dispr_cli.study.rows import rows_for_training
from dispr_cli.study.splits import repeated_folds
from dispr_cli.threads import available_threads

VOXEL_SIZE_UM = 0.172

SIMPLE_SHAPE = (
    "voxel_count",
    "voxel_surface_area",
    "boundary_voxels",
    "tangent_sphere_curvature",
    "roughness_humphrey",
    "roughness_gaussian",
    "hull_excess",
    "mesh_hull_volume",
    "num_vertices",
    "inertia_eigenvalue_0",
    "inertia_eigenvalue_1",
    "inertia_eigenvalue_2",
    "slice_xy_boundary",
    "slice_xz_boundary",
    "slice_yz_boundary",
)
SIMPLE_PLANE = (
    "mask_pixels",
    "mask_boundary",
    "mask_roughness",
    "mask_hull_excess",
    "mask_moment_x",
    "mask_moment_y",
    "mask_gabor_1",
    "mask_gabor_01",
    "mask_elongation",
    "mask_solidity",
    "image_mean",
    "image_sd",
    "image_gabor",
    "image_glcm_dissimilarity",
    "image_glcm_correlation",
    "brightness_mean",
    "brightness_sd",
    "brightness_skewness",
)


def feature_sets() -> dict[str, tuple[str, ...]]:
    """Name the sets."""
    shape, plane = (tuple(f.name for f in features) for features in (SHAPE_FEATURES, PLANAR_FEATURES))
    published = tuple(f.name for f in SHAPE_FEATURES if f.published)
    sets = {
        "15 simple measures of the shape": SIMPLE_SHAPE,
        "126 published ones of the shape": published,
        "further ones of the shape": tuple(name for name in shape if name not in published),
        "all of the shape": shape,
        "18 simple ones of image and mask": SIMPLE_PLANE,
        "14 published ones of image and mask": tuple(f.name for f in PLANAR_FEATURES if f.published),
        "all of image and mask": plane,
        "all": shape + plane,
    }
    families = {family.title: tuple(f.name for f in family.features) for family in FAMILIES}
    return sets | {f"family: {title}": names for title, names in families.items() if "published" not in title}


class Silence:
    """Hear a measurement and say nothing."""

    def started(self, total: int, finished: int) -> None:
        """Say nothing."""

    def measured(self, cell: str, problem: str | None) -> None:
        """Say nothing."""


def measured_table(cells: Path, table: Path | None) -> tuple[FeatureTable, float | None]:
    """Read the table, or measure the cells; returns the shapes a second too."""
    if table is not None:
        return read_table(table), None
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "truth.parquet"
        inputs = InputSettings(pixel_size_um=VOXEL_SIZE_UM)
        # Compiled on first use, which is not what is timed.
        measure_to_table(find_shapes(cells, inputs), out, threads=1, events=Silence())
        start = time.perf_counter()
        source = find_shapes(cells, inputs)
        measure_to_table(source, out, threads=available_threads(), events=Silence(), overwrite=True)
        return read_table(out), source.num_shapes / (time.perf_counter() - start)


def score_set(
    data: StudyData, names: tuple[str, ...], config: ForestConfig, folds: int, repeats: int
) -> dict[str, Any]:
    """Test one set of features."""
    columns = np.array([data.names.index(name) for name in names])
    truth = true_indices(data)
    answers = np.full((repeats, len(truth)), -1)
    for split in repeated_folds(data.truth.cells.tolist(), data.truth.classes.tolist(), folds, repeats):
        train = rows_for_training(data.truth, split.test_cells, {})
        model = fit_forest(train.values[:, columns], train.classes, NONE, config, split.seed)
        tested = np.isin(data.truth.cells, list(split.test_cells))
        found = model.probabilities(data.truth.values[tested][:, columns]).argmax(axis=1)
        answers[split.repeat, tested] = [data.classes.index(model.classes[place]) for place in found]
    scores = score_answers(answers, truth, len(data.classes))
    return {
        "features": len(names),
        "macro_f1_mean": float(scores.macro_f1.mean()),
        "macro_f1_sd": float(scores.macro_f1.std(ddof=1)) if repeats > 1 else None,
        "macro_f1_interval": list(scores.macro_f1_interval),
        "class_f1": dict(zip(data.classes, scores.class_f1.tolist(), strict=True)),
    }


def write_table(result: dict[str, Any], page: Path) -> None:
    """Put the table between its marks in the documentation."""
    rows = [
        (
            title,
            str(found["features"]),
            f"{found['macro_f1_mean']:.3f} ± {found['macro_f1_sd'] or 0:.3f}",
            f"{found['macro_f1_interval'][0]:.2f} to {found['macro_f1_interval'][1]:.2f}",
        )
        for title, found in result["sets"].items()
    ]
    table = markdown_table(("set", "features", "macro F1 ± sd over repetitions", "95 % interval"), rows)
    text = page.read_text(encoding="utf-8")
    marked = re.compile(r"(<!-- sets -->\n).*?(\n<!-- end -->)", re.DOTALL)
    page.write_text(marked.sub(lambda found: f"{found[1]}{table}{found[2]}", text), encoding="utf-8")


def main() -> None:
    """Measure, test every set, write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/classification.json"))
    parser.add_argument("--page", type=Path, default=Path("docs/study.md"))
    args = parser.parse_args()
    table, rate = measured_table(args.cells, args.table)
    data, _ = assemble(table, [], labels_from_names(table.cells.tolist()), None)
    # All features of a set are used, as the known figures did.
    config = ForestConfig(args.trees, 0)
    results = {}
    for title, names in feature_sets().items():
        results[title] = score_set(data, names, config, args.folds, args.repeats)
        print(f"{title}: {results[title]['macro_f1_mean']:.3f}", flush=True)
    result = {
        "cells": len(data.truth),
        "classes": {name: int((data.truth.classes == name).sum()) for name in data.classes},
        "folds": args.folds,
        "repeats": args.repeats,
        "trees": args.trees,
        "scikit-learn": sklearn.__version__,
        "machine": {"cores": os.cpu_count(), "processor": platform.machine()},
        "shapes_per_second": rate,
        "sets": results,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    if args.page.is_file():
        write_table(result, args.page)


if __name__ == "__main__":
    main()
