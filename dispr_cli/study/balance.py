"""Ways to make up for small classes: predicted shapes, copies, SMOTE, weights."""

from __future__ import annotations

import importlib.util
import warnings
from collections import Counter
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import ConfigError
from dispr_cli.study.rows import LabelledRows

SMOTE_NEIGHBOURS = 5


def smaller_half(classes: Collection[str]) -> tuple[str, ...]:
    """Name the smaller half of the classes (rounded down), smallest first: three of six, as in the paper."""
    counts = Counter(classes)
    ordered = sorted(counts, key=lambda name: (counts[name], name))
    return tuple(ordered[: len(ordered) // 2])


def add_predicted(
    truth: LabelledRows, predicted: LabelledRows, minorities: Collection[str], random: np.random.Generator
) -> LabelledRows:
    """Add predicted shapes to small classes until each is as large as the largest, or they run out.

    Parameters
    ----------
    truth
        True shapes of the training cells.
    predicted
        Predicted shapes of training cells, by networks that may serve.
    minorities
        Classes to be filled up.
    random
        Draws which of them.
    """
    counts = Counter(truth.classes.tolist())
    most = max(counts.values())
    chosen = []
    for name in sorted(minorities):
        found = np.flatnonzero(predicted.classes == name)
        chosen.append(random.permutation(found)[: max(most - counts[name], 0)])
    index = np.concatenate([*chosen, np.zeros(0, np.int64)]).astype(np.int64)
    return truth.beside(predicted.where(index))


def add_copies(classes: NDArray[np.str_], random: np.random.Generator) -> NDArray[np.int64]:
    """Return indices of the rows with copies of small classes' rows, so that all classes are equal."""
    counts = Counter(classes.tolist())
    most = max(counts.values())
    index = [np.arange(len(classes))]
    index += [random.choice(np.flatnonzero(classes == name), most - counts[name]) for name in sorted(counts)]
    return np.concatenate(index).astype(np.int64)


def add_synthetic(
    values: NDArray[np.float64], classes: NDArray[np.str_], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Add points between neighbours of small classes (SMOTE, Chawla et al. 2002), so that all are equal.

    Parameters
    ----------
    values
        (N, F) scaled features without NaN.
    classes
        (N,) classes.
    seed
        Of the random points.

    Raises
    ------
    ConfigError
        If imbalanced-learn is not installed.
    """
    if not has_smote():
        raise ConfigError("SMOTE needs the package imbalanced-learn: install dispr with its extra 'study'")
    from imblearn.over_sampling import SMOTE

    fewest = min(Counter(classes.tolist()).values())
    if fewest < 2:
        return values, classes
    sampler = SMOTE(k_neighbors=min(SMOTE_NEIGHBOURS, fewest - 1), random_state=seed)
    with warnings.catch_warnings():
        # imbalanced-learn warns about scikit-learn's own changes, which are not the user's.
        warnings.simplefilter("ignore", FutureWarning)
        drawn, names = sampler.fit_resample(values, classes)
    return np.asarray(drawn), np.asarray(names)


def has_smote() -> bool:
    """Whether imbalanced-learn is installed."""
    return importlib.util.find_spec("imblearn") is not None
