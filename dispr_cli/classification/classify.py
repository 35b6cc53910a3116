"""The whole flow of ``dispr classify`` on one page: tables -> labelled rows -> folds -> variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dispr_cli.classification.labels import labels_from_names, read_labels
from dispr_cli.classification.tables import assemble
from dispr_cli.errors import ConfigError
from dispr_cli.morphology.table import read_table
from dispr_cli.study.balance import has_smote
from dispr_cli.study.class_scores import ClassScores, PairedTest, compare_answers, score_answers
from dispr_cli.study.contest import Outcome, StudyData, run_variant
from dispr_cli.study.forest import ForestConfig
from dispr_cli.study.published import NUM_SPLITS, PublishedScores, score_as_published
from dispr_cli.study.splits import Split, network_folds, repeated_folds
from dispr_cli.study.variants import BASELINE, Variant, possible_variants


@dataclass(frozen=True, slots=True)
class ClassifyConfig:
    """One run of ``dispr classify``.

    Attributes
    ----------
    num_folds
        Folds of each repetition, where no network decides them.
    num_repeats
        Repetitions with other folds (or only other forests, where networks decide the folds).
    augment_classes
        Classes that predicted shapes fill up; None for the smaller half.
    as_published
        Also run the notebook's leaking protocol.
    forest
        How forests grow.
    """

    num_folds: int = 5
    num_repeats: int = 5
    augment_classes: tuple[str, ...] | None = None
    as_published: bool = False
    forest: ForestConfig = field(default_factory=ForestConfig)

    def __post_init__(self) -> None:
        if self.num_repeats < 1:
            raise ConfigError(f"--repeats is {self.num_repeats}: expected a whole number from 1")
        if self.forest.num_trees < 1:
            raise ConfigError(f"--trees is {self.forest.num_trees}: expected a whole number from 1")


class ClassifyEvents(Protocol):
    """Who follows a study."""

    def message(self, text: str) -> None:
        """Take a sentence worth knowing."""

    def started(self, total: int, finished: int) -> None:
        """Take the number of forests."""

    def measured(self, name: str, problem: str | None) -> None:
        """Take one forest that was grown and tested."""


@dataclass(frozen=True, eq=False)
class Classification:
    """What was found.

    Attributes
    ----------
    data
        What the variants drew from.
    splits
        The folds.
    folds_from
        Who decided the folds, in words.
    outcomes
        Answers by variant.
    scores
        Scores by variant.
    tests
        Every variant against the true shapes alone, and the others of interest, by (a, b).
    published
        The leaking protocol without and with predicted shapes, where it was asked for.
    left_out
        What of the tables is not used, and why.
    """

    data: StudyData
    splits: tuple[Split, ...]
    folds_from: str
    outcomes: Mapping[str, Outcome]
    scores: Mapping[str, ClassScores]
    tests: Mapping[tuple[str, str], PairedTest]
    published: Mapping[str, PublishedScores]
    left_out: tuple[str, ...]


def classify_tables(
    truth: Path,
    predicted: Sequence[Path],
    labels: Path | None,
    config: ClassifyConfig,
    events: ClassifyEvents,
) -> Classification:
    """Compare every variant on the cells of a table.

    Parameters
    ----------
    truth
        Table of true shapes, by ``dispr features``.
    predicted
        Tables of predicted shapes of the same cells.
    labels
        Classes of the cells; None reads them from the cells' names.
    config
        What to run.
    events
        Who is told how it goes.

    Raises
    ------
    DisprError
        If a table or the labels cannot be used, or predicted shapes would leak.
    """
    table = read_table(truth)
    known = labels_from_names(table.cells.tolist()) if labels is None else read_labels(labels)
    data, left_out = assemble(table, [read_table(path) for path in predicted], known, config.augment_classes)
    for reason in left_out:
        events.message(f"Left out: {reason}")
    return classify(data, config, events, left_out)


def classify(
    data: StudyData, config: ClassifyConfig, events: ClassifyEvents, left_out: Sequence[str] = ()
) -> Classification:
    """Compare every variant for which there is data."""
    predictions, planes = len(data.predicted) > 0, len(data.names) > data.num_shape_features
    splits, folds_from = _splits_of(data, config)
    variants = possible_variants(predictions=predictions, planes=planes, smote=has_smote())
    if not has_smote():
        events.message("SMOTE is left out: install dispr with its extra 'study' for imbalanced-learn")
    protocols = _published_protocols(predictions) if config.as_published else {}
    events.started(len(variants) * len(splits) + NUM_SPLITS * len(protocols), 0)
    outcomes = {
        variant.name: run_variant(
            data, variant, splits, config.forest, partial(events.measured, variant.name, None)
        )
        for variant in variants
    }
    published = {
        name: score_as_published(
            data, config.forest, with_predicted=copies, done=partial(events.measured, name, None)
        )
        for name, copies in protocols.items()
    }
    true, count = true_indices(data), len(data.classes)
    answers = {name: outcome.answers for name, outcome in outcomes.items()}
    scores = {name: score_answers(found, true, count) for name, found in answers.items()}
    tests = compare_answers(answers, true, count, _pairs_of(variants))
    return Classification(
        data, tuple(splits), folds_from, outcomes, scores, tests, published, tuple(left_out)
    )


def _splits_of(data: StudyData, config: ClassifyConfig) -> tuple[list[Split], str]:
    cells, classes = data.truth.cells.tolist(), data.truth.classes.tolist()
    records = {name: data.networks[name] for name in sorted(set(data.predicted.networks.tolist()))}
    if records and not all(record.never_seen for record in records.values()):
        seen = {name: record for name, record in records.items() if not record.never_seen}
        return network_folds(cells, seen, config.num_repeats), "the cells each network was kept from"
    return repeated_folds(cells, classes, config.num_folds, config.num_repeats), "stratified by class"


def _published_protocols(predictions: bool) -> dict[str, bool]:
    found = {"as published, true shapes": False}
    return found | ({"as published, + predicted shapes": True} if predictions else {})


def _pairs_of(variants: Sequence[Variant]) -> list[tuple[str, str]]:
    """Name the comparisons: each with the baseline, and those that augmentation and shapes are judged by."""
    names = [variant.name for variant in variants]
    pairs = [(name, BASELINE.name) for name in names if name != BASELINE.name]
    further = [
        ("+ predicted shapes", "+ copies"),
        ("+ predicted shapes", "+ SMOTE"),
        ("+ predicted shapes", "class weights"),
        ("+ predicted, SMOTE", "+ SMOTE"),
        ("+ predicted spread", "+ copies"),
        ("+ predicted spread", "+ SMOTE"),
        ("+ predicted spread", "class weights"),
        ("predicted only", "2D only"),
        ("predicted + 2D", "2D only"),
        ("stacked only", "2D only"),
        ("stacked + 2D", "2D only"),
    ]
    return pairs + [pair for pair in further if set(pair) <= set(names)]


def true_indices(data: StudyData) -> NDArray[np.int64]:
    """Return the class index of each true cell, (N,)."""
    index = {name: place for place, name in enumerate(data.classes)}
    return np.array([index[name] for name in data.truth.classes.tolist()])
