"""Which class each cell is of: from a file, or from the cells' names."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from dispr_cli.errors import InputError
from dispr_cli.study.folds import class_of
from dispr_cli.volumes.formulas import unguarded

NAME_COLUMNS, CLASS_COLUMNS = ("cell", "name", "filename", "file"), ("class", "label", "type")


def labels_from_names(cells: Iterable[str]) -> dict[str, str]:
    """Return what stands before the number in each name: ``B_keratocytes000679`` is of ``B_keratocytes``."""
    return {cell: class_of(cell) for cell in cells}


def read_labels(path: Path) -> dict[str, str]:
    """Read a CSV file with a column ``cell`` (or name) and a column ``class`` (or label).

    Raises
    ------
    InputError
        If the file cannot be read, lacks one of the columns, or gives a cell two classes.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            header, rows = reader.fieldnames, list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: the labels cannot be read ({error}).") from error
    named, classed = (_column(path, header, names) for names in (NAME_COLUMNS, CLASS_COLUMNS))
    labels: dict[str, str] = {}
    for row in rows:
        cell, label = _without_suffix(unguarded(row[named] or "")), unguarded((row[classed] or "").strip())
        if labels.setdefault(cell, label) != label:
            raise InputError(
                f"{path}: cell {cell!r} has the classes {labels[cell]!r} and {label!r}; expected one."
            )
    return {cell: label for cell, label in labels.items() if cell and label}


def _column(path: Path, header: Iterable[str] | None, names: tuple[str, ...]) -> str:
    for column in header or ():
        if column.strip().lower() in names:
            return column
    raise InputError(
        f"{path}: has no column {' or '.join(names)}; the labels need one for cells and one for classes."
    )


def _without_suffix(name: str) -> str:
    stripped = name.strip()
    lowered = stripped.lower()
    for suffix in (".ome.tiff", ".ome.tif", ".tiff", ".tif", ".png"):
        if lowered.endswith(suffix):
            return stripped[: -len(suffix)]
    return stripped


def readable(name: str) -> str:
    """Write a class's name for people, without what sorts it: ``B_keratocytes``, ``0.33_echinocyte_I``."""
    return re.sub(r"^(\w|-?\d+\.\d+)_(?=.)", "", name).replace("_", " ")
