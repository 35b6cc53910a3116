"""Tables of features and labels become the rows that classifiers take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from dispr_cli.errors import ConfigError, InputError
from dispr_cli.morphology.table import MEASURED, PREDICTED, TRUTH, FeatureTable
from dispr_cli.shape.features.planar import PLANAR_FEATURES
from dispr_cli.shape.features.registry import SHAPE_FEATURES
from dispr_cli.study.balance import smaller_half
from dispr_cli.study.contest import StudyData
from dispr_cli.study.networks import NetworkRecord
from dispr_cli.study.rows import LabelledRows

FEWEST_CELLS = 4
"""A class needs as many cells to be studied."""


def assemble(
    truth: FeatureTable,
    predicted: Sequence[FeatureTable],
    labels: Mapping[str, str],
    augment_classes: Sequence[str] | None,
) -> tuple[StudyData, list[str]]:
    """Bring tables and labels together.

    Parameters
    ----------
    truth
        Table of true shapes.
    predicted
        Tables of predicted shapes.
    labels
        Class of each cell.
    augment_classes
        Classes that predicted shapes fill up; None for the smaller half.

    Returns
    -------
    data
        The rows that can be used.
    left_out
        What cannot, and why.

    Raises
    ------
    DisprError
        If too little is left, units differ, or a class to be filled up does not exist.
    """
    shapes = [f.name for f in SHAPE_FEATURES if all(f.name in table.names for table in (truth, *predicted))]
    planes = [f.name for f in PLANAR_FEATURES if f.name in truth.names]
    left_out: list[str] = []
    _refuse_other_units(truth, predicted)
    true = _labelled(truth, TRUTH, labels, shapes, planes, left_out)
    true, small = _without_small_classes(true)
    left_out += small
    check_classes(true.classes.tolist(), truth.facts.source)
    own = dict(zip(true.cells.tolist(), true.values[:, len(shapes) :], strict=True))
    drawn = LabelledRows(true.cells[:0], true.classes[:0], true.networks[:0], true.values[:0])
    networks: dict[str, NetworkRecord] = {}
    for table in predicted:
        rows = _labelled(table, PREDICTED, labels, shapes, [], left_out)
        rows = rows.where(np.isin(rows.cells, true.cells))
        beside = np.array([own[cell] for cell in rows.cells.tolist()]).reshape(len(rows), len(planes))
        values = np.concatenate([rows.values, beside], axis=1)
        drawn = drawn.beside(LabelledRows(rows.cells, rows.classes, rows.networks, values))
        networks |= table.facts.networks
    minorities = _minorities(true.classes.tolist(), augment_classes)
    return StudyData(true, drawn, networks, (*shapes, *planes), len(shapes), minorities), left_out


def _labelled(
    table: FeatureTable,
    kind: str,
    labels: Mapping[str, str],
    shapes: Sequence[str],
    planes: Sequence[str],
    left_out: list[str],
) -> LabelledRows:
    place = {name: column for column, name in enumerate(table.names)}
    columns = [place[name] for name in (*shapes, *planes)]
    wanted = table.kinds == kind
    if not wanted.any():
        raise InputError(
            f"the table of {table.facts.source} holds no {kind} shapes; give true shapes first and predicted "
            "ones with --augment."
        )
    failed = wanted & (table.statuses != MEASURED)
    unlabelled = wanted & ~failed & ~np.isin(table.cells, list(labels))
    for rows, reason in ((failed, "could not be measured"), (unlabelled, "have no class")):
        if rows.any():
            left_out.append(f"{rows.sum()} {kind} shapes {reason} (first {table.cells[rows][0]})")
    kept = np.flatnonzero(wanted & ~failed & ~unlabelled)
    classes = np.array([labels[cell] for cell in table.cells[kept].tolist()], dtype=np.str_)
    values = table.values[kept][:, columns]
    networks = table.networks[kept] if kind == PREDICTED else np.full(len(kept), "", dtype=np.str_)
    return LabelledRows(table.cells[kept], classes, networks, values)


def _refuse_other_units(truth: FeatureTable, predicted: Sequence[FeatureTable]) -> None:
    for table in predicted:
        if table.facts.unit_of_length != truth.facts.unit_of_length:
            raise ConfigError(
                f"true shapes are measured in {truth.facts.unit_of_length}, those of {table.facts.source} in "
                f"{table.facts.unit_of_length}; measure both with the same --voxel-size."
            )


def check_classes(classes: Sequence[str], source: str) -> None:
    """Refuse the classes of labelled cells if fewer than two of them are large enough.

    Raises
    ------
    InputError
        Naming the source.
    """
    large = sum(count >= FEWEST_CELLS for count in Counter(classes).values())
    if large < 2:
        raise InputError(
            f"{source}: its labelled cells are of {large} class(es) of {FEWEST_CELLS} cells or more; a "
            "classification needs two. Check the labels."
        )


def _without_small_classes(rows: LabelledRows) -> tuple[LabelledRows, list[str]]:
    counts = Counter(rows.classes.tolist())
    small = sorted(name for name, count in counts.items() if count < FEWEST_CELLS)
    reasons = [f"class {name} has {counts[name]} cells, expected {FEWEST_CELLS} or more" for name in small]
    return rows.where(~np.isin(rows.classes, small)), reasons


def _minorities(classes: Sequence[str], chosen: Sequence[str] | None) -> tuple[str, ...]:
    if chosen is None:
        return smaller_half(classes)
    unknown = set(chosen) - set(classes)
    if unknown:
        known = ", ".join(sorted(set(classes)))
        raise ConfigError(f"--augment-classes: there is no class {min(unknown)!r}; there are {known}")
    return tuple(chosen)
