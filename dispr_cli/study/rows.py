"""Labelled shapes as the classifiers take them, and which of them may train when certain cells are tested."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import ConfigError
from dispr_cli.study.networks import NetworkRecord

NO_NETWORK = ""
"""The network of a shape that was measured, not predicted."""


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Shapes with their classes; N rows, F features.

    Attributes
    ----------
    cells
        (N,) names of the cells they show.
    classes
        (N,) classes of these cells.
    networks
        (N,) what predicted each; ``""`` for a true shape.
    values
        (N, F) features; NaN where one has no value.
    """

    cells: NDArray[np.str_]
    classes: NDArray[np.str_]
    networks: NDArray[np.str_]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.cells)

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> LabelledRows:
        """Return some of the rows, by a mask or by indices."""
        return LabelledRows(
            self.cells[chosen], self.classes[chosen], self.networks[chosen], self.values[chosen]
        )

    def columns(self, chosen: NDArray[np.int64]) -> LabelledRows:
        """Return the rows with some of the features."""
        return LabelledRows(self.cells, self.classes, self.networks, self.values[:, chosen])

    def beside(self, others: LabelledRows) -> LabelledRows:
        """Return these rows and then others of the same features."""
        pairs = zip(
            (self.cells, self.classes, self.networks, self.values),
            (others.cells, others.classes, others.networks, others.values),
            strict=True,
        )
        return LabelledRows(*(np.concatenate(pair) for pair in pairs))


def rows_for_training(
    rows: LabelledRows, test_cells: Collection[str], networks: Mapping[str, NetworkRecord]
) -> LabelledRows:
    """Keep the rows that may train a classifier which is tested on certain cells.

    Neither a test cell's own shapes nor any shape by a network that was trained on a test cell may: such a
    network carries the test cell's shape within its weights.
    """
    return rows.where(~np.isin(rows.cells, list(test_cells)) & _allowed(rows, test_cells, networks))


def rows_for_testing(
    rows: LabelledRows, test_cells: Collection[str], networks: Mapping[str, NetworkRecord]
) -> LabelledRows:
    """Keep the rows of the test cells; predicted ones only by networks that were trained on none of them."""
    return rows.where(np.isin(rows.cells, list(test_cells)) & _allowed(rows, test_cells, networks))


def rows_of_unseen_cells(rows: LabelledRows, networks: Mapping[str, NetworkRecord]) -> LabelledRows:
    """Keep the predicted rows by networks that were not trained on the row's own cell."""
    kept = np.zeros(len(rows), np.bool_)
    for name in set(rows.networks.tolist()) - {NO_NETWORK}:
        own = rows.networks == name
        kept[own] = [networks[name].may_serve([cell]) for cell in rows.cells[own].tolist()]
    return rows.where(kept)


def _allowed(
    rows: LabelledRows, test_cells: Collection[str], networks: Mapping[str, NetworkRecord]
) -> NDArray[np.bool_]:
    """Mark the true rows, and those by networks that were kept from all test cells."""
    present = set(rows.networks.tolist())
    may = {name for name in present if name == NO_NETWORK or networks[name].may_serve(test_cells)}
    return np.isin(rows.networks, list(may)) if may else np.zeros(len(rows), np.bool_)


def refuse_leaks(
    train: LabelledRows,
    test_cells: Collection[str],
    networks: Mapping[str, NetworkRecord],
    *,
    stacked: bool = False,
) -> None:
    """Check once more, right before a classifier is trained, that nothing of a test cell is among its rows.

    With ``stacked``, networks need only have been kept from the cells that their rows show.

    Raises
    ------
    ConfigError
        Naming the row that must not be there.
    """
    seen = set(train.cells) & set(test_cells)
    if seen:
        raise ConfigError(
            f"cell {min(seen)} is tested and its shapes are among those trained on; that is a leak."
        )
    if stacked:
        if len(rows_of_unseen_cells(train, networks)) < len(train):
            raise ConfigError(
                "a predicted shape is trained on whose network was trained on its cell: a leak."
            )
        return
    for name in set(train.networks) - {NO_NETWORK}:
        if not networks[name].may_serve(test_cells):
            raise ConfigError(
                f"shapes by the network {name[:12]} are among those trained on, and it was not kept from all "
                "cells that are tested: a leak."
            )
