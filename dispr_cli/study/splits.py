"""Which cells are tested together: repeated stratified folds, or those that each network was kept from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dispr_cli.errors import ConfigError
from dispr_cli.study.folds import assign_folds
from dispr_cli.study.networks import NetworkRecord

SEED_STEP = 1000


@dataclass(frozen=True, slots=True)
class Split:
    """One fold of one repetition.

    Attributes
    ----------
    repeat, fold
        Which one.
    test_cells
        The cells it tests; all others may train.
    """

    repeat: int
    fold: int
    test_cells: frozenset[str]

    @property
    def seed(self) -> int:
        """Of everything random in this fold."""
        return self.repeat * SEED_STEP + self.fold


def repeated_folds(cells: Sequence[str], classes: Sequence[str], num_folds: int, repeats: int) -> list[Split]:
    """Deal the cells out anew for each repetition, stratified by class.

    Raises
    ------
    ConfigError
        If a class has fewer cells than two, or there are fewer folds than two or more than cells.
    """
    if not 2 <= num_folds <= len(cells):
        raise ConfigError(f"--folds is {num_folds}: expected a number from 2 to the {len(cells)} cells")
    splits = []
    for repeat in range(repeats):
        fold_of = assign_folds(tuple(cells), num_folds, repeat, classes)
        for fold in range(num_folds):
            tested = frozenset(cell for cell, own in zip(cells, fold_of, strict=True) if own == fold)
            splits.append(Split(repeat, fold, tested))
    return splits


def network_folds(cells: Sequence[str], networks: Mapping[str, NetworkRecord], repeats: int) -> list[Split]:
    """Test together the cells that a network was kept from, so that its shapes may serve.

    Repetitions have the same folds; only what is random in the classifiers differs.

    Raises
    ------
    ConfigError
        If a cell was kept from none of the networks, so that no predicted shape may be used beside it.
    """
    left, folds = set(cells), []
    for record in networks.values():
        tested = frozenset(left & (record.held_out or frozenset()))
        if tested:
            folds.append(tested)
            left -= tested
    if left:
        raise ConfigError(
            f"{len(left)} of {len(cells)} cells (first {min(left)}) were kept from none of {len(networks)} "
            "networks that made the predicted shapes, so these would leak. Predict with a network for each "
            "fold (dispr study), or measure again with --weights or --never-seen if the table knows none."
        )
    return [Split(repeat, fold, tested) for repeat in range(repeats) for fold, tested in enumerate(folds)]
