"""A set of phantoms as a folder that every reader of this program, ImageJ and SHAPR's code understand."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import FOREGROUND
from dispr_cli.errors import StoreError
from dispr_cli.inputs.phantoms.generate import (
    PHANTOM_CLASSES,
    Phantom,
    check_request,
    numbered_phantom,
)

TABLE = "phantoms.csv"
FOLDERS = ("image", "mask", "obj")
COLUMNS = (
    "name",
    "phantom_class",
    "seed",
    "number",
    "voxel_size_um",
    "volume_um3",
    "body_volume_um3",
    "parameters",
)
OWN_NAME = re.compile(rf"({'|'.join(PHANTOM_CLASSES)})_\d{{6,}}\.tif")


def write_phantoms(
    out: Path,
    count: int,
    classes: Sequence[str] = PHANTOM_CLASSES,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a set of phantoms as ``image/``, ``mask/``, ``obj/`` and a table.

    Parameters
    ----------
    out
        Folder to write; may be absent, empty, or hold phantoms of the same set, which are written again
        with the same content.
    count, classes, seed
        The set; see :func:`generate_phantoms`.
    progress
        Called with (done, count) after every phantom.

    Returns
    -------
    Path
        The table ``phantoms.csv``: class, seed, number, voxel size, the volume of what stands in ``obj``
        (``volume_um3``), of the body before stretch and blur (``body_volume_um3``), and the parameters
        drawn, as JSON.

    Raises
    ------
    ConfigError
        For a count below one, a negative seed, or classes that do not exist.
    StoreError
        If the folder holds something else, or cannot be written.
    """
    check_request(count, classes, seed)
    planned = {f"{name}_{i:06d}.tif" for i, name in _numbered(count, classes)}
    refuse_foreign(out, planned, seed)
    try:
        for folder in FOLDERS:
            (out / folder).mkdir(parents=True, exist_ok=True)
        with (out / TABLE).open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            for i, name in _numbered(count, classes):
                phantom = numbered_phantom(name, i, seed)
                write_phantom(out, phantom)
                table.writerow(table_row(phantom, i, seed))
                file.flush()
                if progress is not None:
                    progress(i + 1, count)
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({error.strerror or error}).") from error
    return out / TABLE


def _numbered(count: int, classes: Sequence[str]) -> Iterator[tuple[int, str]]:
    return ((i, classes[i % len(classes)]) for i in range(count))


def table_row(phantom: Phantom, number: int, seed: int) -> list[str | int]:
    """One line of the table."""
    volume = int((phantom.volume >= FOREGROUND).sum()) * phantom.voxel_size_um**3
    parameters = {name: float(f"{value:.6g}") for name, value in sorted(phantom.traits.items())}
    return [
        phantom.name,
        phantom.phantom_class,
        seed,
        number,
        f"{phantom.voxel_size_um:g}",
        f"{volume:.3f}",
        f"{phantom.body_volume_um3:.3f}",
        json.dumps(parameters),
    ]


def write_phantom(out: Path, phantom: Phantom) -> None:
    """Write the three files of one phantom, ImageJ TIFFs that carry the voxel size."""
    for folder, array in zip(FOLDERS, (phantom.image, phantom.mask, phantom.volume), strict=True):
        _write_tiff(out / folder / f"{phantom.name}.tif", array, phantom.voxel_size_um)


def _write_tiff(path: Path, array: NDArray[np.uint8], voxel_size_um: float) -> None:
    import tifffile  # phantoms are also made for training, on machines that have no image library

    metadata: dict[str, str | float] = {"axes": "ZYX"[-array.ndim :], "unit": "um"}
    if array.ndim == 3:
        metadata["spacing"] = voxel_size_um
    per_um = 1.0 / voxel_size_um
    tifffile.imwrite(path, array, imagej=True, resolution=(per_um, per_um), metadata=metadata)


def refuse_foreign(out: Path, planned: set[str], seed: int) -> None:
    """Refuse a folder in which anything else lies than phantoms of the set about to be written.

    Raises
    ------
    StoreError
        Naming what was found there.
    """
    try:
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return
        problem = _foreign(out, planned, seed)
    except OSError as error:
        raise StoreError(f"{out}: cannot be read ({error.strerror or error}).") from error
    if problem:
        raise StoreError(
            f"{out}: {problem}; expected a new or empty folder, or one with phantoms of the same seed and "
            "classes. Choose another folder."
        )


def _foreign(out: Path, planned: set[str], seed: int) -> str | None:
    if not out.is_dir():
        return "is a file"
    strange = sorted(path.name for path in out.iterdir() if path.name not in (*FOLDERS, TABLE))
    if strange:
        return f"holds {strange[0]!r}, which is not part of a set of phantoms"
    if not (out / TABLE).is_file():
        return f"is not empty and has no {TABLE}"
    with (out / TABLE).open(newline="", encoding="utf-8", errors="replace") as file:
        table = csv.DictReader(file)
        if tuple(table.fieldnames or ()) != COLUMNS:
            return f"holds another {TABLE}"
        seeds = {row["seed"] for row in table} - {str(seed)}
    if seeds:
        return f"holds phantoms of seed {min(seeds)}, not {seed}"
    present = (
        path.name for folder in FOLDERS if (out / folder).exists() for path in (out / folder).iterdir()
    )
    for name in sorted(set(present) - planned):
        kind = "a phantom that is not in this set" if OWN_NAME.fullmatch(name) else "no phantom"
        return f"holds {name!r}, which is {kind}"
    return None
