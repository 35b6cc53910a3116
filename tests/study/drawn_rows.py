"""Made-up shapes: cells whose features are pure chance, and copies of them that look like predictions."""

from __future__ import annotations

import numpy as np

from dispr_cli.study.contest import StudyData
from dispr_cli.study.folds import assign_folds
from dispr_cli.study.networks import NetworkRecord
from dispr_cli.study.rows import LabelledRows

COUNTS = {"common": 30, "rare": 12, "scarce": 9}
NUM_FOLDS, NUM_FEATURES = 3, 12


def chance_data(signal: float = 0.0, seed: int = 0, copies: int = 6) -> StudyData:
    """Draw cells, and predicted shapes that are all but copies of their cells' true ones.

    Every cell has a shape of its own, which only says as much about its class as ``signal``: without any, an
    honest classifier can do no better than chance, while one that has seen a copy knows the cell.
    """
    random = np.random.default_rng(seed)
    cells = np.array([f"{name}_{number:03d}" for name, count in COUNTS.items() for number in range(count)])
    classes = np.array([name for name, count in COUNTS.items() for _ in range(count)])
    places = np.repeat(np.arange(len(COUNTS)), list(COUNTS.values()))
    values = random.normal(size=(len(cells), NUM_FEATURES)) + signal * places[:, None]
    truth = LabelledRows(cells, classes, np.full(len(cells), ""), values)
    fold_of = assign_folds(tuple(cells), NUM_FOLDS)
    networks = {
        f"net{fold}": NetworkRecord(frozenset(cells[fold_of == fold].tolist())) for fold in range(NUM_FOLDS)
    }
    drawn = [np.tile(np.arange(len(cells)), copies) for _ in networks]
    index = np.concatenate(drawn)
    noise = 0.01 * random.normal(size=(len(index), NUM_FEATURES))
    names = np.repeat(list(networks), [len(part) for part in drawn])
    predicted = LabelledRows(cells[index], classes[index], names, values[index] + noise)
    features = tuple(f"feature_{number}" for number in range(NUM_FEATURES))
    return StudyData(truth, predicted, networks, features, NUM_FEATURES - 3, ("scarce", "rare"))
