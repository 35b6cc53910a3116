"""Which class each cell is of: from a file, or from the cells' names."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from dispr_cli.errors import InputError
from dispr_cli.study.folds import class_of
from dispr_cli.volumes.formulas import unguarded

NAME_COLUMNS, CLASS_COLUMNS = ("cell", "name", "filename", "file"), ("class", "label", "type")


def labels_from_names(cells: Iterable[str]) -> dict[str, str]:
    """Return what stands before the number in each name: ``B_keratocytes000679`` is of ``B_keratocytes``."""
    return {cell: class_of(cell) for cell in cells}


def read_labels(path: Path) -> dict[str, str]:
    """Read a CSV file with a column of cells and one of classes, see the names above, in letters of any case.

    A cell may be named by its image file: endings such as ``.tif`` are left out (:func:`without_suffix`).

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
    named, classed = (_column(path, header or (), names) for names in (NAME_COLUMNS, CLASS_COLUMNS))
    labels: dict[str, str] = {}
    for row in rows:
        cell, label = without_suffix(unguarded(row[named] or "")), unguarded((row[classed] or "").strip())
        if labels.setdefault(cell, label) != label:
            raise InputError(
                f"{path}: cell {cell!r} has the classes {labels[cell]!r} and {label!r}; expected one."
            )
    return {cell: label for cell, label in labels.items() if cell and label}


def _column(path: Path, header: Sequence[str], names: tuple[str, ...]) -> str:
    for column in header:
        if column.strip().lower() in names:
            return column
    found = ", ".join(column.strip() for column in header) or "none"
    raise InputError(
        f"{path}: has the columns {found}; expected 'cell' and 'class' (or {', '.join(NAME_COLUMNS[1:])}, "
        f"and {', '.join(CLASS_COLUMNS[1:])})."
    )


def without_suffix(name: str) -> str:
    """Return the name of a cell without the ending of an image file."""
    stripped = name.strip()
    lowered = stripped.lower()
    for suffix in (".ome.tiff", ".ome.tif", ".tiff", ".tif", ".png"):
        if lowered.endswith(suffix):
            return stripped[: -len(suffix)]
    return stripped


def readable(name: str) -> str:
    """Write a class's name for people, without what sorts it: ``B_keratocytes``, ``0.33_echinocyte_I``."""
    return re.sub(r"^(\w|-?\d+\.\d+)_(?=.)", "", name).replace("_", " ")
