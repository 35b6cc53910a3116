"""What an evaluation compares: methods by name, the cells that all of them share, classes, and the unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from dispr_cli.classification.labels import read_labels, without_suffix
from dispr_cli.errors import ConfigError, InputError
from dispr_cli.scoring.learned import LEARNED, NEW, state_of
from dispr_cli.scoring.predictions import Reconstructions
from dispr_cli.scoring.truths import Truths
from dispr_cli.study.folds import class_of
from dispr_cli.volumes.rows import CellRow

NO_CLASS = ""
"""The class of every cell where no classes were given."""

_UNFINISHED = "not reconstructed yet"
_LEARNED = "learned by the weights of"
_UNRECORDED = "it is not recorded whether it was learned by"


@dataclass(frozen=True)
class ComparedMethod:
    """A method and what its store says of the compared cells.

    Attributes
    ----------
    name
        As the tables write it.
    store
        Its volumes.
    indices, rows
        Position in the store and row of each compared cell, by its name.
    states
        What each compared cell is to the method's weights, see :mod:`.learned`.
    """

    name: str
    store: Reconstructions
    indices: dict[str, int]
    rows: dict[str, CellRow]
    states: dict[str, str]

    @property
    def balance(self) -> int:
        """Samples of a cell whose noise balances, in order; 1 where they are independent."""
        return int(self.store.configuration.get("balance", 1))

    @property
    def failed(self) -> dict[str, str]:
        """Cells that the method could not reconstruct, and why."""
        return {cell: row.status for cell, row in self.rows.items() if not row.is_done}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A cell that is not compared, and why; `unfinished` if a run that goes on may change that."""

    cell: str
    reason: str
    unfinished: bool = False


@dataclass(frozen=True)
class Match:
    """What is compared with what.

    Attributes
    ----------
    methods
        In the order they were given.
    cells
        Names of the cells that every method tried and that have a truth, in the first store's order.
    left_out
        The other cells.
    unused_truths
        Truths without a reconstruction in any store.
    """

    methods: tuple[ComparedMethod, ...]
    cells: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    unused_truths: tuple[str, ...]


def name_methods(stores: Sequence[Reconstructions], names: Sequence[str | None] = ()) -> list[str]:
    """Name each store: as the user says, else by its method, and by its file where methods repeat.

    A None among the names leaves that store to the rule.

    Raises
    ------
    ConfigError
        If the user's names are not one for each store, or two methods would have one name.
    """
    if names and len(names) != len(stores):
        raise ConfigError(f"{len(names)} names for {len(stores)} stores; give --name once for each store.")
    methods = [str(store.configuration.get("method", store.path.stem)) for store in stores]
    given = names or [None] * len(stores)
    counts = Counter(method for name, method in zip(given, methods, strict=True) if name is None)
    chosen = [
        name or (method if counts[method] == 1 else store.path.stem)
        for name, method, store in zip(given, methods, stores, strict=True)
    ]
    twice = [name for name, count in Counter(chosen).items() if count > 1]
    if twice:
        raise ConfigError(f"two stores would be called {twice[0]!r}; give --name once for each store.")
    return chosen


def match_cells(
    stores: Mapping[str, Reconstructions],
    truths: Truths,
    *,
    held_out_only: bool = False,
    never_seen: Collection[str] = (),
) -> Match:
    """Find the cells that every store tried and that have a truth.

    A cell that a method failed on is compared, as an empty shape; one that it has not come to yet is not.

    Parameters
    ----------
    stores
        By the method's name.
    truths
        Ground truths.
    held_out_only
        Leave out each cell that the weights of any method have learned from, or may have.
    never_seen
        Methods of which the user says that they were trained on none of the cells.

    Raises
    ------
    ConfigError
        If `never_seen` names no method.
    InputError
        If no cell is left.
    """
    if unknown := sorted(set(never_seen) - set(stores)):
        raise ConfigError(f"--never-seen {unknown[0]}: no method is called so; there are {', '.join(stores)}")
    tables = {name: list(store.cells) for name, store in stores.items()}
    known = list(dict.fromkeys(row.name for rows in tables.values() for row in rows))
    with_truth, unused = truths.find(known)
    states = {name: {row.name: row for row in rows} for name, rows in tables.items()}
    learning = {
        name: {
            cell: state_of(row, stores[name].configuration, never_seen=name in never_seen)
            for cell, row in rows.items()
        }
        for name, rows in states.items()
    }
    reasons = {
        cell: _reason(cell, states, with_truth, truths)
        or (_not_held_out(cell, learning) if held_out_only else None)
        for cell in known
    }
    cells = tuple(cell for cell, reason in reasons.items() if reason is None)
    left_out = tuple(
        LeftOut(cell, reason, reason.startswith(_UNFINISHED))
        for cell, reason in reasons.items()
        if reason is not None
    )
    if not cells:
        raise _nothing_shared(stores, truths, left_out, unused)
    methods = tuple(
        ComparedMethod(
            name,
            store,
            {row.name: index for index, row in enumerate(tables[name]) if reasons[row.name] is None},
            {cell: states[name][cell] for cell in cells},
            {cell: learning[name][cell] for cell in cells},
        )
        for name, store in stores.items()
    )
    return Match(methods, cells, left_out, tuple(unused))


def read_classes(path: Path, cells: Sequence[str]) -> dict[str, str]:
    """Read the class of each cell from a CSV file, see :func:`dispr_cli.classification.labels.read_labels`.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, gives a cell two classes, or says nothing of one.
    """
    labels = read_labels(path)
    found = {cell: labels.get(without_suffix(cell), "") for cell in cells}
    missing = [cell for cell in cells if not found[cell]]
    if missing:
        raise InputError(
            f"{path}: has no class for {missing[0]!r} and {len(missing) - 1} other cell(s); add their rows."
        )
    return found


def choose_classes(
    cells: Sequence[str], classes: Path | Mapping[str, str] | None, from_name: bool
) -> dict[str, str]:
    """Give each cell its class: from a table, from its name, or none.

    Raises
    ------
    ConfigError
        If both ways are asked for, or a mapping lacks a cell.
    InputError
        If the table cannot be used.
    """
    if classes is not None and from_name:
        raise ConfigError("classes from a table and from the names were asked for; choose one of them.")
    if isinstance(classes, Path):
        return read_classes(classes, cells)
    if classes is not None:
        missing = [cell for cell in cells if cell not in classes]
        if missing:
            raise ConfigError(f"there is no class for cell {missing[0]!r}; give every cell one.")
        return {cell: classes[cell] for cell in cells}
    return {cell: class_of(cell) if from_name else NO_CLASS for cell in cells}


def voxel_sizes(match: Match, unknown_um: float | None) -> dict[str, dict[str, float | None]]:
    """Return the voxel side of each cell, by method and cell; None where it is unknown.

    A failed cell has none of its own; it takes its store's, or the median of the cells around it.

    Parameters
    ----------
    match
        The compared cells.
    unknown_um
        What the user says of stores that do not know.
    """
    sizes = {}
    for method in match.methods:
        own = {cell: row.voxel_size_um or method.store.voxel_size_um for cell, row in method.rows.items()}
        known = [size for size in own.values() if size is not None]
        usual = median(known) if known else unknown_um
        sizes[method.name] = {
            cell: size or (usual if cell in method.failed else unknown_um) for cell, size in own.items()
        }
    return sizes


def in_micrometres(sizes: Mapping[str, Mapping[str, float | None]]) -> bool:
    """Whether every voxel size is known; else all is told in voxels, since units are never mixed."""
    return all(size is not None for of_method in sizes.values() for size in of_method.values())


def _reason(
    cell: str, states: Mapping[str, Mapping[str, CellRow]], with_truth: set[str], truths: Truths
) -> str | None:
    missing = [name for name, rows in states.items() if cell not in rows]
    if missing:
        return f"not in the store of {', '.join(missing)}"
    if cell not in with_truth:
        return f"no ground truth in {truths.source}"
    open_in = [name for name, rows in states.items() if not (rows[cell].is_done or rows[cell].is_failed)]
    return f"{_UNFINISHED} by {', '.join(open_in)}" if open_in else None


def _not_held_out(cell: str, learning: Mapping[str, Mapping[str, str]]) -> str | None:
    learned = [name for name, states in learning.items() if states[cell] == LEARNED]
    if learned:
        return f"{_LEARNED} {', '.join(learned)}"
    unsure = [name for name, states in learning.items() if states[cell] != NEW]
    return f"{_UNRECORDED} {', '.join(unsure)}" if unsure else None


def _nothing_shared(
    stores: Mapping[str, Reconstructions], truths: Truths, left_out: Sequence[LeftOut], unused: Sequence[str]
) -> InputError:
    paths = ", ".join(str(store.path) for store in stores.values())
    for reason in (_LEARNED, _UNRECORDED):
        item = next((item for item in left_out if item.reason.startswith(reason)), None)
        if item is not None:
            return InputError(
                f"{paths}: no cell is left that is surely held out (cell {item.cell!r}: {item.reason}). "
                "Take weights that kept cells out of their training (dispr reconstruct --held-out-only, or a "
                "folder of folds), or say --never-seen METHOD if you know that it was trained on none."
            )
    example = f", a ground truth is called {unused[0]!r}" if unused else ""
    first = left_out[0]
    return InputError(
        f"{truths.source}: no cell of {paths} can be compared (cell {first.cell!r}: "
        f"{first.reason}{example}). Names of cells and of ground truths must be equal."
    )
