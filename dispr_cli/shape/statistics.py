"""What a table of scores says: averages by class, and whether two methods differ on the same cells."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dispr_cli.errors import ConfigError

CONFIDENCE = 0.95
RESAMPLINGS = 10_000


@dataclass(frozen=True, slots=True)
class Summary:
    """Scores of a group of cells.

    Attributes
    ----------
    count
        Cells with a score; NaN (nothing to measure) is no score.
    mean, sd, median
        Of those; the sd divides by count - 1 and is NaN for one cell.
    """

    count: int
    mean: float
    sd: float
    median: float


def summarise(values: ArrayLike) -> Summary:
    """Average the scores (N,) of a group of cells, leaving out NaN; all NaN if none is left."""
    scores = np.asarray(values, dtype=np.float64).ravel()
    scores = scores[~np.isnan(scores)]
    if len(scores) == 0:
        return Summary(0, float("nan"), float("nan"), float("nan"))
    # An infinite score (an error relative to a true 0) makes the mean infinite, and only the median speaks.
    finite = bool(np.isfinite(scores).all())
    sd = float(scores.std(ddof=1)) if len(scores) > 1 and finite else float("nan")
    return Summary(len(scores), float(scores.mean()), sd, float(np.median(scores)))


def summarise_by_class(values: ArrayLike, classes: Sequence[str]) -> dict[str, Summary]:
    """Average scores over all cells, over each class, and over the classes.

    Parameters
    ----------
    values
        (N,) scores, one for each cell.
    classes
        (N,) the cells' classes.

    Returns
    -------
    dict
        ``all``, each class by name, and ``macro``: mean, sd and median of the classes' means, so that a rare
        class counts as much as a common one; its count is the number of classes.

    Raises
    ------
    ConfigError
        If there is not one class for each score.
    """
    scores, names = np.asarray(values, dtype=np.float64), np.asarray(classes, dtype=str)
    if scores.shape != names.shape:
        raise ConfigError(
            f"There are {scores.size} scores and {names.size} classes; one for each was expected."
        )
    by_class = {str(name): summarise(scores[names == name]) for name in np.unique(names)}
    macro = summarise([summary.mean for summary in by_class.values()])
    return {"all": summarise(scores), **by_class, "macro": macro}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two methods on the same cells.

    Attributes
    ----------
    first, second
        The methods' names.
    count
        Cells that both have a score for.
    difference
        Mean of first minus second.
    low, high
        Bootstrap interval of the difference.
    p_value
        Wilcoxon's signed-rank test, two-sided; 1 where no cell differs.
    adjusted_p_value
        The same by Holm's procedure over all pairs of one comparison.
    """

    first: str
    second: str
    count: int
    difference: float
    low: float
    high: float
    p_value: float
    adjusted_p_value: float


def paired_bootstrap(
    differences: ArrayLike,
    *,
    confidence: float = CONFIDENCE,
    resamplings: int = RESAMPLINGS,
    seed: int = 0,
) -> tuple[float, float]:
    """Put an interval around a mean difference by drawing the cells again with replacement (Efron 1979).

    Parameters
    ----------
    differences
        (N,) differences of two methods on the same cells, without NaN.
    confidence
        Share of the resampled means inside the interval.
    resamplings
        How often all cells are drawn.
    seed
        The same seed gives the same interval, and the same draws for every measure.

    Returns
    -------
    tuple of float
        Lower and upper end (percentiles); NaN without cells.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) == 0:
        return float("nan"), float("nan")
    random = np.random.default_rng(seed)
    means = np.empty(resamplings)
    # In portions, so that many cells do not need all resamplings in memory at once.
    for start in range(0, resamplings, 100):
        portion = means[start : start + 100]
        portion[:] = values[random.integers(0, len(values), (len(portion), len(values)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def wilcoxon_p_value(differences: ArrayLike) -> float:
    """Test whether paired differences (N,) lie around 0 (two-sided signed-rank test); 1 if all are 0."""
    from scipy.stats import wilcoxon

    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0]
    if len(values) == 0:
        return 1.0
    few = len(values) <= 50 and len(np.unique(np.abs(values))) == len(values)
    with warnings.catch_warnings():
        # scipy before 1.15 warns of fewer than 10 tied values, newer ones give the same p value in silence.
        warnings.filterwarnings("ignore", message="Sample size too small", category=UserWarning)
        return float(wilcoxon(values, method="exact" if few else "approx").pvalue)


def compare_methods(
    scores: Mapping[str, ArrayLike], *, confidence: float = CONFIDENCE, seed: int = 0
) -> list[Comparison]:
    """Compare every pair of methods on the cells they share.

    Parameters
    ----------
    scores
        For each method its scores (N,), in the same order of cells; NaN where it has none.
    confidence
        Of the bootstrap interval.
    seed
        Of the bootstrap.

    Returns
    -------
    list of Comparison
        One for each pair, in the methods' order.

    Raises
    ------
    ConfigError
        If the methods do not have the same number of cells.
    """
    tables = {name: np.asarray(values, dtype=np.float64) for name, values in scores.items()}
    if len({table.shape for table in tables.values()}) > 1:
        sizes = ", ".join(f"{name}: {table.size}" for name, table in tables.items())
        raise ConfigError(
            f"The methods have scores for different cells ({sizes}); give NaN where one has none."
        )
    pairs = list(combinations(tables, 2))
    differences = [_shared(tables[first], tables[second]) for first, second in pairs]
    p_values = [wilcoxon_p_value(values) for values in differences]
    comparisons = []
    for pair, values, p_value, adjusted in zip(
        pairs, differences, p_values, holm_adjusted(p_values), strict=True
    ):
        mean = float(values.mean()) if len(values) else float("nan")
        low, high = paired_bootstrap(values, confidence=confidence, seed=seed)
        comparisons.append(Comparison(*pair, len(values), mean, low, high, p_value, adjusted))
    return comparisons


def holm_adjusted(p_values: Sequence[float]) -> list[float]:
    """Raise p-values so that the chance of any false alarm among them keeps its level (Holm 1979)."""
    order = np.argsort(p_values)
    raised = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(raised), 1.0)
    return [float(value) for value in adjusted]


def _shared(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    both = np.isfinite(first) & np.isfinite(second)
    return first[both] - second[both]
