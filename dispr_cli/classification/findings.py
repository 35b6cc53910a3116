"""What a classification found, in a few sentences, and what each row of its tables is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dispr_cli.classification.classify import Classification
from dispr_cli.classification.labels import readable
from dispr_cli.report.class_tables import markdown_table
from dispr_cli.study.class_scores import PairedTest
from dispr_cli.study.forest import COPIES, NONE, SMOTE, WEIGHTS
from dispr_cli.study.variants import (
    BASELINE,
    BOTH,
    FILLED,
    PLANE,
    PREDICTED,
    SHAPE,
    STACKED,
    TRUE,
    VARIED,
    Variant,
)

CERTAIN = 0.05
FEW_CELLS = 20
"""A class of fewer cells is called small: one cell more or less right moves its F1 by points."""

_FEATURES = {SHAPE: "shape", PLANE: "image and mask", BOTH: "shape, image and mask"}
_TRAINED = {
    TRUE: "true shapes",
    PREDICTED: "predicted, the network saw these cells",
    STACKED: "predicted, the network never saw the cell",
    FILLED: "true shapes",
    VARIED: "true shapes",
}
_BALANCE = {
    NONE: "as they are",
    COPIES: "copies of their rows",
    SMOTE: "points between their rows",
    WEIGHTS: "weigh more",
}
_FILLED = "+ predicted shapes"
_FILLS = {
    "+ predicted, SMOTE": "with SMOTE after them",
    "+ predicted spread": "if they only say how true shapes may vary",
}
_FREE = ("+ copies", "+ SMOTE", "class weights")
"""What predicted shapes as filling must be better than, since it needs no network."""


def legend(variants: Sequence[Variant]) -> str:
    """Say for each row of the tables what it is trained and tested on."""
    rows = []
    for variant in variants:
        small, flat = _BALANCE[variant.balance], variant.features == PLANE
        if variant.train == FILLED:
            small = "predicted shapes" + ("" if variant.balance == NONE else f", then {small}")
        elif variant.train == VARIED:
            small = "true shapes, varied as predicted ones"
        trained = "the cells" if flat else _TRAINED[variant.train]
        tested = "the cells" if flat else f"{variant.test} shapes"
        rows.append([variant.name, _FEATURES[variant.features], trained, small, tested])
    header = ("row", "features of", "trained on", "small classes", "tested on")
    return markdown_table(header, rows, words=True)


def findings(found: Classification) -> str:
    """Return what can be said of the practical case, the filling, and the hardest class, as a list."""
    said = [_without_truth(found), _filling(found), _hardest(found), _few_cells(found)]
    return "\n".join(f"- {sentence}" for sentence in said if sentence)


def _without_truth(found: Classification) -> str:
    """Compare predicted shapes with image and mask, and both with the true shapes."""
    test = found.tests.get(("predicted only", "2D only"))
    if test is None:
        return ""
    drawn, flat, true = (_mean(found, name) for name in ("predicted only", "2D only", BASELINE.name))
    sentence = (
        f"Without any true shape, predicted shapes reach a macro F1 of {drawn:.2f}, image and mask alone "
        f"{flat:.2f}: {_difference(test)}."
    )
    if true > flat:
        sentence += (
            f" True shapes reach {true:.2f}, so {regained(drawn, flat, true)} of what 2D lacks is regained."
        )
    return sentence


def regained(drawn: float, flat: float, true: float) -> str:
    """How much of the way from 2D to true shapes predicted ones go, in words."""
    share = round(100 * (drawn - flat) / (true - flat))
    return f"{share} %" if share > 0 else "nothing"


def _filling(found: Classification) -> str:
    """Compare predicted shapes as filling with no filling, and with the best of what costs nothing."""
    if _FILLED not in found.scores:
        return ""
    classes = " and ".join(readable(name) for name in found.data.minorities)
    after = [f"{_mean(found, name):.2f} {words}" for name, words in _FILLS.items() if name in found.scores]
    given = ", ".join([f"{_mean(found, _FILLED):.2f}", *after])
    free = [f"{name.removeprefix('+ ')} {_mean(found, name):.2f}" for name in _FREE if name in found.scores]
    without, test = _mean(found, BASELINE.name), found.tests[_FILLED, BASELINE.name]
    return (
        f"As filling for the small classes ({classes}) in training, predicted shapes give {given}; without "
        f"them it is {without:.2f} ({_difference(test)}). What needs no network gives: {', '.join(free)}."
    )


def _hardest(found: Classification) -> str:
    scores = found.scores[BASELINE.name].class_f1
    place = int(scores.argmin())
    return (
        f"Hardest class, even by true shapes: {readable(found.data.classes[place])}, F1 {scores[place]:.2f}."
    )


def _few_cells(found: Classification) -> str:
    counts = Counter(found.data.truth.classes.tolist())
    small = [f"{readable(name)} ({count})" for name, count in counts.most_common() if count < FEW_CELLS]
    if not small:
        return ""
    return f"Few cells: {', '.join(small)}; their scores rest on these alone, see the intervals."


def _mean(found: Classification, name: str) -> float:
    return float(found.scores[name].macro_f1.mean())


def _difference(test: PairedTest) -> str:
    """Say how large a difference is, and whether chance may have made it."""
    size = f"{abs(test.difference):.2f} {'more' if test.difference >= 0 else 'less'}"
    interval = f"95 % interval {test.low:+.2f} to {test.high:+.2f}"
    p = "p < 0.001" if test.adjusted_p_value < 0.001 else f"p = {test.adjusted_p_value:.3f}"
    chance = "hardly chance" if test.adjusted_p_value < CERTAIN else "may be chance"
    return f"{size} ({interval}; {p} corrected for all comparisons, {chance})"
