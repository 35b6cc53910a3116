"""How well our descriptor of shapes on spheres agrees with the published one, on the cells that have both.

    python -m benchmarks.descriptor_agreement ../shared/data/rbc ../shared/data/rbc_descriptors/train.npz

The published descriptors (Simionato et al. 2021) come without the volumes of most cells; shapes predicted
here could only stand beside them if both descriptors of one cell were nearly the same. So: how both
correlate, whether a cell's own published descriptor is the nearest of all 799, whether a forest can tell
which program made a descriptor, and what a forest trained on one says of the other. With --study, a folder
of ``dispr study`` on these cells: the paper's six classes by the published descriptors of all cells, without
and with our descriptor of the small classes' training cells beside them, copied, true and predicted. Only
the 14 bands whose definition is known are compared.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.inputs.settings import InputSettings
from dispr_cli.inputs.truth import read_truth
from dispr_cli.morphology.shape_ref import ShapeRef
from dispr_cli.morphology.sources import find_shapes
from dispr_cli.shape.shell_descriptor import shell_descriptor
from dispr_cli.study.class_scores import compare_answers, score_answers
from dispr_cli.study.folds import assign_folds
from dispr_cli.study.forest import grow

BANDS = (1, *range(3, 16))
NUM_SHELLS, NUM_COLUMNS = 32, 17
NUM_FOLDS = 5
MIXED_REPEATS = 2
OWN_CLASS = ("acanthocyte", "cluster", "keratocyte", "knizocyte", "multilobate")
"""Classes of the paper besides that of all smooth and spiked discs and spheres."""
SMALL_CLASSES = ("keratocyte", "knizocyte", "multilobate")

Rows = NDArray[np.float64]


def scaled(descriptors: Rows) -> Rows:
    """Divide each descriptor by its largest absolute value, as the published classifier does."""
    flat = descriptors.reshape(len(descriptors), -1)
    found: Rows = flat / np.abs(flat).max(axis=1, keepdims=True)
    return found


def published(path: Path) -> tuple[Rows, NDArray[np.str_], dict[str, int]]:
    """Read the known bands of all cells, their classes, and the row of each cell's number."""
    content = np.load(path)
    columns = content["descriptor"].astype(np.float64).reshape(-1, NUM_SHELLS, NUM_COLUMNS)
    return columns[:, :, 3:], content["label"], {str(cell): row for row, cell in enumerate(content["cell"])}


def cross_tested(train: Rows, test: Rows, classes: NDArray[np.str_], names: list[str]) -> dict[str, Any]:
    """Train on one descriptor and test on another, never on the same cell."""
    known = sorted(set(classes.tolist()))
    truth = np.array([known.index(name) for name in classes.tolist()])
    answers = np.full((3, len(truth)), -1)
    for repeat in range(len(answers)):
        fold_of = assign_folds(tuple(names), NUM_FOLDS, repeat, classes.tolist())
        for fold in range(NUM_FOLDS):
            forest = grow(train[fold_of != fold], classes[fold_of != fold], 200, repeat, None)
            found = forest.predict(test[fold_of == fold]).tolist()
            answers[repeat, fold_of == fold] = [known.index(str(name)) for name in found]
    scores = score_answers(answers, truth, len(known))
    return {"macro_f1": float(scores.macro_f1.mean()), "interval": list(scores.macro_f1_interval)}


def origin_accuracy(ours: Rows, theirs: Rows, names: list[str]) -> float:
    """Share of descriptors of unseen cells whose program a forest tells; one half is no telling."""
    fold_of = assign_folds(tuple(names), NUM_FOLDS)
    right = []
    for fold in range(NUM_FOLDS):
        kept, tested = fold_of != fold, fold_of == fold
        values = np.concatenate([ours[kept], theirs[kept]])
        origin = np.repeat(["ours", "theirs"], kept.sum())
        forest = grow(values, origin, 200, 0, None)
        right += [forest.predict(ours[tested]) == "ours", forest.predict(theirs[tested]) == "theirs"]
    return float(np.concatenate(right).mean())


def six_classes(labels: NDArray[np.str_]) -> NDArray[np.str_]:
    """Name the paper's class of each of the twelve."""
    return np.array([next((own for own in OWN_CLASS if own in name), "SDE") for name in labels.tolist()])


@dataclass(frozen=True)
class Drawn:
    """Our descriptors of small classes' cells as the network of one fold draws them.

    Attributes
    ----------
    tested
        Numbers of the fold's cells, which the network never saw.
    cells, rows
        Numbers of the cells it drew, and their descriptors, scaled.
    """

    tested: frozenset[str]
    cells: list[str]
    rows: Rows


def drawn_by_networks(study: Path, small: set[str]) -> list[Drawn]:
    """Describe what each network of a study drew of the small classes' cells that it was trained on."""
    found = []
    for store in sorted((study / "shapes").glob("fold?.zarr")):
        tested = {ref.cell[-6:] for ref in _shapes(store)}
        known = [ref for ref in _shapes(store.with_suffix(".known.zarr")) if ref.cell[-6:] in small]
        rows = np.stack([shell_descriptor(ref.read())[:, BANDS] for ref in known])
        found.append(Drawn(frozenset(tested), [ref.cell[-6:] for ref in known], scaled(rows)))
    return found


def _shapes(store: Path) -> list[ShapeRef]:
    source = find_shapes(store, InputSettings())
    return [ref for unit in range(source.num_units) for ref in source.unit(unit)]


def mixed(
    every: Rows, ours: Rows, classes: NDArray[np.str_], rows: dict[str, int], names: list[str], study: Path
) -> dict[str, Any]:
    """Classify all published descriptors, with ours of the small classes' training cells beside them.

    Parameters
    ----------
    every, classes, rows
        All published descriptors, scaled, their classes, and the place of each cell's number.
    ours, names
        Our descriptors of true shapes, scaled, and the numbers of their cells.
    study
        Folder of ``dispr study`` on these cells: the folds are its networks', other cells are dealt out.
    """
    known = sorted(set(classes.tolist()))
    truth = np.array([known.index(name) for name in classes.tolist()])
    small = {name for name in names if classes[rows[name]] in SMALL_CLASSES}
    networks = drawn_by_networks(study, small)
    variants = ("published only", "+ copies", "+ our true shapes", "+ our predicted shapes")
    answers = {key: np.full((MIXED_REPEATS, len(truth)), -1) for key in variants}
    for repeat in range(MIXED_REPEATS):
        labels = tuple(f"{place:06d}" for place in range(len(every)))
        fold_of = assign_folds(labels, len(networks), repeat, classes.tolist())
        for fold, drawn in enumerate(networks):
            fold_of[[rows[name] for name in drawn.tested]] = fold
        for fold, drawn in enumerate(networks):
            train, test = fold_of != fold, fold_of == fold
            own = sorted(small - drawn.tested)
            added: dict[str, tuple[list[str], Rows]] = {
                "published only": ([], every[:0]),
                "+ copies": (own, every[[rows[name] for name in own]]),
                "+ our true shapes": (own, ours[[names.index(name) for name in own]]),
                "+ our predicted shapes": (drawn.cells, drawn.rows),
            }
            for key, (cells, values) in added.items():
                assert not set(cells) & drawn.tested
                beside = classes[[rows[name] for name in cells]] if cells else classes[:0]
                forest = grow(
                    np.concatenate([every[train], values]),
                    np.concatenate([classes[train], beside]),
                    200,
                    repeat,
                    None,
                )
                answers[key][repeat, test] = [known.index(str(name)) for name in forest.predict(every[test])]
    scores = {key: score_answers(found, truth, len(known)) for key, found in answers.items()}
    pairs = [(key, variants[0]) for key in variants[1:]] + [(variants[3], variants[1])]
    tests = compare_answers(answers, truth, len(known), pairs)
    return {
        "cells": {name: int((classes == name).sum()) for name in known},
        "filled_up_classes": list(SMALL_CLASSES),
        "folds": len(networks),
        "repeats": MIXED_REPEATS,
        "variants": {
            key: {
                "macro_f1_mean": float(found.macro_f1.mean()),
                "macro_f1_sd": float(found.macro_f1.std(ddof=1)),
                "macro_f1_interval": list(found.macro_f1_interval),
                "class_f1": dict(zip(known, found.class_f1.tolist(), strict=True)),
            }
            for key, found in scores.items()
        },
        "tests": [
            {
                "first": a,
                "second": b,
                "difference": test.difference,
                "interval": [test.low, test.high],
                "p_value": test.p_value,
                "adjusted_p_value": test.adjusted_p_value,
            }
            for (a, b), test in tests.items()
        ],
    }


def main() -> None:
    """Compare, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path)
    parser.add_argument("descriptors", type=Path)
    parser.add_argument("--study", type=Path)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/descriptor_agreement.json"))
    args = parser.parse_args()
    every, labels, rows = published(args.descriptors)
    files = [path for path in sorted((args.cells / "obj").glob("*.tif")) if path.stem[-6:] in rows]
    names = [path.stem for path in files]
    index = np.array([rows[name[-6:]] for name in names])
    ours = np.stack([shell_descriptor(read_truth(path))[:, BANDS] for path in files])
    theirs = every[index]
    all_scaled, own = scaled(every), scaled(ours)
    like = np.corrcoef(own, all_scaled)[: len(own), len(own) :]
    ranks = np.array([(line > line[place]).sum() for line, place in zip(like, index, strict=True)])
    per_band = [
        float(np.corrcoef(ours[:, :, band].ravel(), theirs[:, :, band].ravel())[0, 1]) for band in range(14)
    ]
    classes = labels[index]
    result: dict[str, Any] = {
        "cells": len(names),
        "published_cells": len(every),
        "correlation_median": float(np.median(like[np.arange(len(own)), index])),
        "correlation_quartiles": np.quantile(like[np.arange(len(own)), index], [0.25, 0.75]).tolist(),
        "correlation_with_others_median": float(np.median(like)),
        "correlation_by_band": dict(zip(map(str, BANDS), per_band, strict=True)),
        "own_is_nearest_share": float((ranks == 0).mean()),
        "own_among_nearest_5_share": float((ranks < 5).mean()),
        "own_rank_median": float(np.median(ranks)),
        "origin_told_share": origin_accuracy(own, scaled(theirs), names),
        "macro_f1": {
            f"trained on {a}, tested on {b}": cross_tested(first, second, classes, names)
            for a, first in (("theirs", scaled(theirs)), ("ours", own))
            for b, second in (("theirs", scaled(theirs)), ("ours", own))
        },
    }
    if args.study:
        numbers = [name[-6:] for name in names]
        result["six_classes"] = mixed(all_scaled, own, six_classes(labels), rows, numbers, args.study)
    print(json.dumps(result, indent=1))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
