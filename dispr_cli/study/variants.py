"""What is compared: which features, which shapes train and are tested, how small classes are made up for."""

from __future__ import annotations

from dataclasses import dataclass

from dispr_cli.study.forest import COPIES, NONE, SMOTE, WEIGHTS
from dispr_cli.study.ways import AS_IT_IS, PLANE_WAYS, SAMPLE_WAYS, Way

SHAPE, PLANE, BOTH = "shape", "plane", "both"
TRUE, PREDICTED, STACKED, FILLED, VARIED = "true", "predicted", "stacked", "filled", "varied"


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
        ``true`` shapes; ``predicted`` ones by the network that saw none of the tested cells, but did see the
        cells that train; ``stacked``: predicted ones of each cell by the network that did not see it, so that
        they err as those tested do, though that network may have seen shapes of tested cells;
        ``filled``: true ones, small classes filled up with predicted; ``varied``: true ones, all classes
        filled up to the largest with true ones that vary as predicted ones of one image do.
    test
        ``true`` or ``predicted`` shapes of the tested cells.
    balance
        See :mod:`dispr_cli.study.forest`.
    ways
        How rows and features may be used; chosen on folds within the training cells.
    """

    name: str
    title: str
    features: str = SHAPE
    train: str = TRUE
    test: str = TRUE
    balance: str = NONE
    ways: tuple[Way, ...] = AS_IT_IS

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
    Variant("+ predicted, SMOTE", "+ predicted shapes, then SMOTE", train=FILLED, balance=SMOTE),
    Variant("+ predicted spread", "+ true shapes, varied as predicted", train=VARIED),
    Variant("+ copies", "+ copies (random oversampling)", balance=COPIES),
    Variant("+ SMOTE", "+ SMOTE", balance=SMOTE),
    Variant("class weights", "class weights", balance=WEIGHTS),
    Variant("2D only", "2D image and mask only", PLANE, ways=PLANE_WAYS),
    Variant("predicted only", "predicted shapes only", SHAPE, PREDICTED, PREDICTED, ways=SAMPLE_WAYS),
    Variant("predicted + 2D", "predicted shapes and 2D", BOTH, PREDICTED, PREDICTED, ways=SAMPLE_WAYS),
    Variant("stacked only", "predicted shapes only, stacked", SHAPE, STACKED, PREDICTED, ways=SAMPLE_WAYS),
    Variant("stacked + 2D", "predicted shapes and 2D, stacked", BOTH, STACKED, PREDICTED, ways=SAMPLE_WAYS),
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
