"""Volumes in a folder, by the names of the cells they belong to: ground truths, or somebody's predictions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from dispr_cli.errors import InputError
from dispr_cli.inputs.listing import TRUTH_FOLDERS, walk_once
from dispr_cli.inputs.pairing import by_name, is_hidden, stem
from dispr_cli.inputs.plan import cell_name

_VOLUME = re.compile(r"\.(tiff?|btf|npy)$", re.IGNORECASE)
_NUMBERED = re.compile(r"^(.+)_(\d+)$", re.DOTALL)
_NPY = re.compile(r"\.npy$", re.IGNORECASE)


def find_truths(folder: Path, what: str = "ground truth") -> dict[str, Path]:
    """Find the volumes of a folder: those below ``obj/`` where there is one, else all there are.

    Parameters
    ----------
    folder
        As ``dispr reconstruct`` reads it (``obj/``, also below ``train/`` and ``test/``), or with volumes
        (TIFF stacks, ``.npy``) named like the cells.
    what
        What the volumes are, for messages.

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
        raise InputError(f"{folder}: the folder of {what}s {found}; give one with obj/ or volumes.")
    files = _volumes(folder)
    special = [path for path in files if _truth_folder(folder, path) is not None]
    truths = by_name(((_name(folder, path), path) for path in special or files), what)
    if not truths:
        raise InputError(
            f"{folder}: holds no {what}; expected obj/, or TIFF stacks or .npy files named like the cells."
        )
    return truths


def find_truths_in_obj(folder: Path) -> dict[str, Path]:
    """Find the volumes below folders ``obj/`` alone, as :func:`find_truths` names them; none is no error."""
    files = [path for path in _volumes(folder) if _truth_folder(folder, path) is not None]
    return by_name(((_name(folder, path), path) for path in files), "ground truth")


def truth_by_cell(truths: dict[str, Path], cells: Sequence[str]) -> dict[str, Path]:
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
    found = _matched({name: cell_name(_stem(path)) for name, path in truths.items()}, cells)
    return {cell: truths[name] for cell, name in found.items()}


def samples_by_cell(volumes: dict[str, Path], cells: Sequence[str]) -> dict[str, list[Path]]:
    """Give each cell its volumes: ``cell.tif`` alone, or ``cell_0.tif``, ``cell_1.tif`` and so on.

    Parameters
    ----------
    volumes
        From :func:`find_truths`.
    cells
        Names that are known of cells; only they tell ``cell_1`` the cell from sample 1 of ``cell``.

    Returns
    -------
    dict
        Files by cell, samples in the order of their numbers. Volumes of no known cell stand at the end, by
        their own names.

    Raises
    ------
    InputError
        If a cell has a volume of its own beside numbered ones, or two of one number.
    """
    alone = truth_by_cell(volumes, cells)
    used = set(alone.values())
    numbered: dict[str, dict[int, Path]] = {}
    files: dict[str, str] = {}
    for name, path in volumes.items():
        if path in used or (found := _NUMBERED.match(name)) is None:
            continue
        samples = numbered.setdefault(found[1], {})
        number = int(found[2])
        if number in samples:
            raise InputError(f"{path}: is sample {number} of a cell, and so is {samples[number].name}.")
        samples[number] = path
        files[found[1]] = _NUMBERED.sub(r"\1", cell_name(_stem(path)))
    of_cells = _matched(files, cells)
    if both := [cell for cell in of_cells if cell in alone]:
        path = next(iter(numbered[of_cells[both[0]]].values()))
        raise InputError(
            f"{path}: is a sample of cell {both[0]!r}, which has the volume {alone[both[0]].name} too; give "
            "one or the other."
        )
    known = {cell: [path] for cell, path in alone.items()}
    known |= {cell: [path for _, path in sorted(numbered[name].items())] for cell, name in of_cells.items()}
    used |= {path for paths in known.values() for path in paths}
    ordered = {cell: known[cell] for cell in cells if cell in known}
    return ordered | {name: [path] for name, path in volumes.items() if path not in used}


def _matched(files: Mapping[str, str], cells: Sequence[str]) -> dict[str, str]:
    """Find for each cell the name that is equal, else the one whose file is called so, if only one is."""
    by_file = {file: name for name, file in files.items()}
    counts = Counter(files.values())
    found = {
        cell: cell if cell in files else by_file.get(cell) if counts[cell] == 1 else None for cell in cells
    }
    return {cell: name for cell, name in found.items() if name is not None}


def _volumes(folder: Path) -> list[Path]:
    def cannot_list(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be listed ({error.strerror}).") from error

    files = []
    for root, names, inside in walk_once(folder, cannot_list):
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
