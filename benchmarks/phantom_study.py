"""What predicted shapes of small classes add on phantoms, where every true shape is known.

    python -m benchmarks.phantom_study WEIGHTS --work local/phantom_study

Nine kinds of phantoms in six classes, as uneven as the paper's cells: spherocytes, stomatocytes,
discocytes and echinocytes together 602, acanthocytes 88, clusters 69, keratocytes 31, knizocytes 23,
multilobate cells 12. The network must not have seen these phantoms (another ``--seed`` than its own).
Measuring is resumable, the large class last; ``--large`` takes fewer of it. ``--minutes`` ends measuring;
the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import pickle
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dispr_cli.classification.classify import true_indices
from dispr_cli.config import SamplerConfig
from dispr_cli.inputs.phantoms.as_read import as_read
from dispr_cli.inputs.phantoms.generate import numbered_phantom
from dispr_cli.methods import load_denoiser
from dispr_cli.shape.features.planar import PLANAR_FEATURES, measure_plane
from dispr_cli.shape.features.registry import SHAPE_FEATURES, measure_shape
from dispr_cli.study.balance import has_smote, smaller_half
from dispr_cli.study.class_scores import compare_answers, score_answers
from dispr_cli.study.contest import StudyData, run_variant
from dispr_cli.study.forest import SMOTE, ForestConfig
from dispr_cli.study.networks import NetworkRecord
from dispr_cli.study.rows import LabelledRows
from dispr_cli.study.splits import repeated_folds
from dispr_cli.study.variants import BASELINE, VARIANTS

LARGE = ("spherocyte", "stomatocyte", "discocyte", "echinocyte")
COUNTS = {"multilobate": 12, "knizocyte": 23, "keratocyte": 31, "cell_cluster": 69, "acanthocyte": 88}
LARGE_CLASS, LARGE_COUNT = "smooth and spiked discs", 602
COMPARED = (
    "true shapes",
    "+ predicted shapes",
    "+ predicted, SMOTE",
    "+ predicted spread",
    "+ copies",
    "+ SMOTE",
    "class weights",
    "2D only",
)
NETWORK = "given"
SAVED_EVERY = 10

Measured = dict[str, Any]


def wanted(large: int) -> Iterator[tuple[str, str, int]]:
    """Yield class, kind and number of every phantom, the large class last."""
    for kind, count in COUNTS.items():
        yield from ((kind, kind, number) for number in range(count))
    yield from ((LARGE_CLASS, LARGE[number % len(LARGE)], number // len(LARGE)) for number in range(large))


def measure(kept: list[Measured], args: argparse.Namespace) -> bool:
    """Measure what is missing; returns whether everything is there."""
    until = time.monotonic() + 60 * args.minutes
    sampler = SamplerConfig(num_steps=args.steps)
    method = load_denoiser(args.weights, sampler, device="cpu", precision=args.precision)
    have = {row["name"] for row in kept}
    filled = smaller_half([name for name, _, _ in wanted(args.large)])
    for own, kind, number in wanted(args.large):
        if f"{kind}_{number:06d}" in have:
            continue
        if time.monotonic() > until:
            return False
        phantom = numbered_phantom(kind, number, args.seed)
        cell, size = as_read(phantom), phantom.voxel_size_um
        drawn = method.reconstruct([cell], args.samples, args.seed)[0] if own in filled else []
        row: Measured = {"name": phantom.name, "class": own, "truth": measure_shape(phantom.volume, size)}
        row["plane"] = measure_plane(cell.image, cell.mask, size)
        row["predicted"] = [measure_shape(volume, size) for volume in drawn]
        kept.append(row)
        if len(kept) % SAVED_EVERY == 0:
            save(kept, args.work)
    save(kept, args.work)
    return True


def save(kept: list[Measured], work: Path) -> None:
    """Keep what is measured, whole or not at all."""
    part = work / "rows.part"
    part.write_bytes(pickle.dumps(kept))
    part.replace(work / "rows.pickle")


def study_data(kept: list[Measured]) -> StudyData:
    """Bring the rows together, in an order that does not depend on when they were measured."""
    kept = sorted(kept, key=lambda row: str(row["name"]))
    shape, plane = [f.name for f in SHAPE_FEATURES], [f.name for f in PLANAR_FEATURES]

    def rows(found: list[tuple[Measured, Measured]], network: str) -> LabelledRows:
        names, classes = (np.array([row[key] for row, _ in found], np.str_) for key in ("name", "class"))
        values = [[of[n] for n in shape] + [row["plane"][n] for n in plane] for row, of in found]
        return LabelledRows(names, classes, np.full(len(found), network), np.array(values, np.float64))

    truth = rows([(row, row["truth"]) for row in kept], "")
    predicted = rows([(row, drawn) for row in kept for drawn in row["predicted"]], NETWORK)
    record = NetworkRecord(None, True, "trained on phantoms of other seeds")
    minorities = smaller_half(truth.classes.tolist())
    return StudyData(truth, predicted, {NETWORK: record}, (*shape, *plane), len(shape), minorities)


def classify(data: StudyData, args: argparse.Namespace) -> dict[str, Any]:
    """Compare the ways to make up for small classes on the same folds."""
    cells, classes = data.truth.cells.tolist(), data.truth.classes.tolist()
    splits = repeated_folds(cells, classes, args.folds, args.repeats)
    config = ForestConfig(args.trees)
    true, count = true_indices(data), len(data.classes)
    chosen = [v for v in VARIANTS if v.name in COMPARED and (has_smote() or v.balance != SMOTE)]
    outcomes = {}
    for variant in chosen:
        outcomes[variant.name] = run_variant(data, variant, splits, config)
        print(
            f"{variant.name}: {score_answers(outcomes[variant.name].answers, true, count).macro_f1}",
            flush=True,
        )
    pairs = [(name, BASELINE.name) for name in outcomes if name != BASELINE.name]
    pairs += [
        (own, other)
        for own in ("+ predicted shapes", "+ predicted spread")
        for other in ("+ copies", "+ SMOTE", "class weights")
        if other in outcomes
    ]
    pairs += [("+ predicted, SMOTE", "+ SMOTE")] if "+ SMOTE" in outcomes else []
    tests = compare_answers({name: found.answers for name, found in outcomes.items()}, true, count, pairs)
    scored = {name: score_answers(found.answers, true, count) for name, found in outcomes.items()}
    return {
        "classes": dict(Counter(classes).most_common()),
        "predicted_shapes": len(data.predicted),
        "filled_up_classes": list(data.minorities),
        "folds": args.folds,
        "repeats": args.repeats,
        "trees": args.trees,
        "samples": args.samples,
        "steps": args.steps,
        "seed": args.seed,
        "variants": {
            name: {
                "macro_f1_mean": float(scores.macro_f1.mean()),
                "macro_f1_sd": float(scores.macro_f1.std(ddof=1)) if args.repeats > 1 else None,
                "macro_f1_interval": list(scores.macro_f1_interval),
                "class_f1": dict(zip(data.classes, scores.class_f1.tolist(), strict=True)),
                "train_rows": outcomes[name].train_counts,
            }
            for name, scores in scored.items()
        },
        "tests": [
            {"first": a, "second": b, "difference": test.difference, "interval": [test.low, test.high],
             "p_value": test.p_value, "adjusted_p_value": test.adjusted_p_value}
            for (a, b), test in tests.items()
        ],
    }  # fmt: skip


def main() -> None:
    """Measure, compare, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("--work", type=Path, default=Path("local/phantom_study"))
    parser.add_argument("--large", type=int, default=LARGE_COUNT, help="cells of the large class")
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--as-it-is", action="store_true", help="compare with what is measured")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/phantom_study.json"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    file = args.work / "rows.pickle"
    kept: list[Measured] = pickle.loads(file.read_bytes()) if file.exists() else []
    if not args.as_it_is and not measure(kept, args):
        print(f"{len(kept)} phantoms measured; run the same command to go on")
        return
    result = classify(study_data(kept), args)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
