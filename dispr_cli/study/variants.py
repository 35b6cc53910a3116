"""What is compared: which features, which shapes train and are tested, how small classes are made up for."""

from __future__ import annotations

from dataclasses import dataclass

from dispr_cli.study.forest import COPIES, NONE, SMOTE, WEIGHTS

SHAPE, PLANE, BOTH = "shape", "plane", "both"
TRUE, PREDICTED, FILLED = "true", "predicted", "filled"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to classify.

    Attributes
    ----------
    name
        In tables and files.
    title
        In figures.
    features
        ``shape``: of the 3D shape; ``plane``: of image and mask; ``both``.
    train
        ``true`` shapes, ``predicted`` ones, or ``filled``: true ones, small classes filled up with predicted.
    test
        ``true`` or ``predicted`` shapes of the tested cells.
    balance
        See :mod:`dispr_cli.study.forest`.
    """

    name: str
    title: str
    features: str = SHAPE
    train: str = TRUE
    test: str = TRUE
    balance: str = NONE

    @property
    def needs_predictions(self) -> bool:
        """Whether it uses predicted shapes."""
        return self.train != TRUE or self.test != TRUE

    @property
    def needs_planes(self) -> bool:
        """Whether it uses features of image and mask."""
        return self.features != SHAPE


BASELINE = Variant("true shapes", "true shapes")
VARIANTS = (
    BASELINE,
    Variant("+ predicted shapes", "+ predicted shapes of small classes", train=FILLED),
    Variant("+ copies", "+ copies (random oversampling)", balance=COPIES),
    Variant("+ SMOTE", "+ SMOTE", balance=SMOTE),
    Variant("class weights", "class weights", balance=WEIGHTS),
    Variant("2D only", "2D image and mask only", features=PLANE),
    Variant("predicted only", "predicted shapes only", train=PREDICTED, test=PREDICTED),
    Variant("predicted + 2D", "predicted shapes and 2D", features=BOTH, train=PREDICTED, test=PREDICTED),
    Variant("true, tested on predicted", "true shapes, tested on predicted", test=PREDICTED),
)
"""All of them; the first is what the others are compared with."""


def possible_variants(*, predictions: bool, planes: bool, smote: bool) -> tuple[Variant, ...]:
    """Return the variants for which there is what they need."""
    return tuple(
        variant
        for variant in VARIANTS
        if (predictions or not variant.needs_predictions)
        and (planes or not variant.needs_planes)
        and (smote or variant.balance != SMOTE)
    )
