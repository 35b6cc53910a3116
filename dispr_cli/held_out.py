"""Every cell by the network that never saw it: several trained networks that stand as one method."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import GRID
from dispr_cli.errors import WeightsError
from dispr_cli.inputs.cell import Cell
from dispr_cli.inputs.plan import Plan
from dispr_cli.method import Method
from dispr_cli.study.networks import NetworkRecord, network_of


class HeldOutMethod(Method):
    """Several trainings of one method, each asked only for cells it was not trained on.

    Parameters
    ----------
    members
        The trained methods, by the name of their weights.
    held_out
        For each of them the names of the cells kept out of its training, as its weights record them. Of
        several that never saw a cell the first draws it (:func:`dispr_cli.study.networks.network_of`).

    Raises
    ------
    WeightsError
        If there is none, or one records no held-out cells.
    """

    def __init__(self, members: Mapping[str, Method], held_out: Mapping[str, Collection[str]]) -> None:
        if not members:
            raise WeightsError(
                "a folder of weights was given that holds none; expected one file for each fold"
            )
        for weights in members:
            if not held_out[weights]:
                raise WeightsError(
                    f"{weights}: records no cell that was held out of its training, so it cannot be used on "
                    "cells of its own folder; give it alone, as --weights FILE."
                )
        self.members = dict(members)
        self._records = {weights: NetworkRecord(frozenset(held_out[weights])) for weights in members}
        self._any = next(iter(members.values()))
        self.name, self.device_type = self._any.name, self._any.device_type
        self.micro_batch = self._any.micro_batch

    @property
    def covered(self) -> frozenset[str]:
        """Names of the cells that some member never saw."""
        return frozenset().union(*(record.held_out or () for record in self._records.values()))

    def describe(self) -> str:
        """Say what computes, and that cells are held out."""
        return f"{self._any.describe()}, {len(self.members)} networks, each on the cells it never saw"

    def identity(self) -> dict[str, Any]:
        """Give the settings of the members, one hash over all their weights, and each of theirs."""
        every = {weights: member.identity() for weights, member in self.members.items()}
        hashes = {weights: str(found.get("weights_sha256")) for weights, found in every.items()}
        together = hashlib.sha256("".join(sorted(hashes.values())).encode()).hexdigest()
        return {**self._any.identity(), "weights_sha256": together, "held_out_weights": hashes}

    def take_precision(self, precision: str) -> bool:
        """Let the members compute in this precision, whether any changed."""
        changes = [member.take_precision(precision) for member in self.members.values()]
        return any(changes)

    def learned_from(self, cell: Cell) -> bool | None:
        """Ask the network that draws the cell: names may be equal where cells are not."""
        weights = network_of(cell.name, self._records)
        return None if weights is None else self.members[weights].learned_from(cell)

    def reconstruct(self, cells: Sequence[Cell], num_samples: int, seed: int) -> NDArray[np.uint8]:
        """Reconstruct each cell by its own network; see :class:`dispr_cli.method.Method`.

        Raises
        ------
        WeightsError
            If a cell was held out of none of the trainings.
        """
        volumes = np.empty((len(cells), num_samples, GRID, GRID, GRID), np.uint8)
        for weights, member in self.members.items():
            index = [i for i, cell in enumerate(cells) if self._network_of(cell) == weights]
            if index:
                volumes[index] = member.reconstruct([cells[i] for i in index], num_samples, seed)
        return volumes

    def _network_of(self, cell: Cell) -> str:
        found = network_of(cell.name, self._records)
        if found is None:
            raise WeightsError(
                f"cell {cell.name}: was held out of none of the {len(self.members)} trainings, so no network "
                "may be tried on it. Leave it out (--held-out-only), or give one file (--weights FILE) for "
                "cells that are new to all of them."
            )
        return found


def cells_to_draw(
    plan: Plan,
    method: Method,
    held_out: Collection[str],
    *,
    held_out_only: bool,
    notify: Callable[[str], None] = lambda message: None,
) -> Plan:
    """Choose among the planned cells those that a method may draw; all if it is a rule that learns from none.

    Parameters
    ----------
    plan
        All cells.
    method, held_out
        From :func:`dispr_cli.methods.load_with_held_out`.
    held_out_only
        Leave out cells that the weights do not record as held out.
    notify
        Called with a sentence that says how many are left.

    Raises
    ------
    WeightsError
        If no cell is left, or folds of weights are asked for cells that none of them held out.
    """
    if held_out_only and method.identity().get("learns", True):
        chosen = only_held_out(plan, held_out, method.name)
        notify(f"{len(chosen.cells)} of {len(plan.cells)} cells were held out of the training, and are drawn")
        return chosen
    if isinstance(method, HeldOutMethod):
        _refuse_cells_of_no_fold(plan, method)
    return plan


def only_held_out(plan: Plan, held_out: Collection[str], method: str) -> Plan:
    """Keep of the planned cells those that were held out of the training of a method.

    Raises
    ------
    WeightsError
        If no cell is left.
    """
    cells = [ref for ref in plan.cells if ref.name in held_out]
    if not cells:
        recorded = f"they record {len(held_out)} others" if held_out else "they record none"
        raise WeightsError(
            f"{method}: none of the {len(plan.cells)} cells of {plan.source} was held out of the training of "
            f"its weights ({recorded}). Give the folder that they were trained in, or weights that held some "
            "out (--weights)."
        )
    return replace(plan, cells=cells)


def _refuse_cells_of_no_fold(plan: Plan, method: HeldOutMethod) -> None:
    """Say before anything is computed that some cells are nobody's."""
    others = [ref.name for ref in plan.cells if ref.name not in method.covered]
    if others:
        total, count = len(plan.cells), len(method.members)
        apart = (
            f"held out of none of the {count} trainings" if count > 1 else "not held out of the only training"
        )
        raise WeightsError(
            f"{plan.source}: {len(others)} of {total} cells (first: {others[0]}) were {apart} in the "
            "folder of weights, so no network may be tried on them. Give --held-out-only to draw "
            f"the {total - len(others)} others alone, or add the weights of the missing folds."
        )
