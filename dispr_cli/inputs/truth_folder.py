"""Ground truths in a folder, by the names of the cells they belong to."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from dispr_cli.errors import InputError
from dispr_cli.inputs.listing import TRUTH_FOLDERS
from dispr_cli.inputs.pairing import by_name, is_hidden, stem
from dispr_cli.inputs.plan import cell_name

_VOLUME = re.compile(r"\.(tiff?|btf|npy)$", re.IGNORECASE)
_NPY = re.compile(r"\.npy$", re.IGNORECASE)


def find_truths(folder: Path) -> dict[str, Path]:
    """Find the volumes of a folder: those below ``obj/`` where there is one, else all there are.

    Parameters
    ----------
    folder
        As ``dispr reconstruct`` reads it (``obj/``, also below ``train/`` and ``test/``), or with volumes
        (TIFF stacks, ``.npy``) named like the cells.

    Returns
    -------
    dict
        Files by the name that ``dispr reconstruct`` gives the cell (``train_cell7``).

    Raises
    ------
    InputError
        If the folder is missing, cannot be listed or holds no volume, or two volumes have one name.
    """
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise InputError(f"{folder}: the folder of ground truths {found}; give one with obj/ or volumes.")
    files = _volumes(folder)
    special = [path for path in files if _truth_folder(folder, path) is not None]
    truths = by_name(((_name(folder, path), path) for path in special or files), "ground truth")
    if not truths:
        raise InputError(
            f"{folder}: holds no ground truth; expected obj/, or TIFF stacks named like the store's cells."
        )
    return truths


def find_truths_in_obj(folder: Path) -> dict[str, Path]:
    """Find the volumes below folders ``obj/`` alone, as :func:`find_truths` names them; none is no error."""
    files = [path for path in _volumes(folder) if _truth_folder(folder, path) is not None]
    return by_name(((_name(folder, path), path) for path in files), "ground truth")


def truth_by_cell(truths: dict[str, Path], cells: list[str]) -> dict[str, Path]:
    """Give each cell its truth: of the same name, else of that file name, if only one truth has it.

    Parameters
    ----------
    truths
        From :func:`find_truths`.
    cells
        Names of the cells.

    Returns
    -------
    dict
        Files by cell; cells without a truth are missing.
    """
    by_file = {cell_name(_stem(path)): path for path in truths.values()}
    counts = Counter(cell_name(_stem(path)) for path in truths.values())
    found = {cell: truths.get(cell, by_file.get(cell) if counts[cell] == 1 else None) for cell in cells}
    return {cell: path for cell, path in found.items() if path is not None}


def _volumes(folder: Path) -> list[Path]:
    def cannot_list(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be listed ({error.strerror}).") from error

    files = []
    for root, names, inside in os.walk(folder, onerror=cannot_list):
        # A store is a source of truths of its own, not a folder of volumes.
        names[:] = sorted(name for name in names if not name.startswith(".") and not name.endswith(".zarr"))
        files += [Path(root) / name for name in sorted(inside) if _VOLUME.search(name)]
    return [path for path in files if not is_hidden(path.name)]


def _truth_folder(folder: Path, path: Path) -> int | None:
    """Position of ``obj`` among the folders between `folder` and the file."""
    between = [part.lower() for part in path.relative_to(folder).parts[:-1]]
    return next((place for place, part in enumerate(between) if part in TRUTH_FOLDERS), None)


def _name(folder: Path, path: Path) -> str:
    between = list(path.relative_to(folder).parts[:-1])
    place = _truth_folder(folder, path)
    if place is not None:
        del between[place]
    return cell_name("/".join([*between, _stem(path)]))


def _stem(path: Path) -> str:
    return _NPY.sub("", path.name) if _NPY.search(path.name) else stem(path.name)
