"""Which cells weights have learned from, themselves or through the weights that they started from.

Names say little: two folders may both hold a ``cell_001``. A cell is known by a digest of its mask and image
on the network's grid (:meth:`dispr_cli.diffusion.dataset.TrainingCells.digests`), as the program reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.diffusion.dataset import TrainingCells, cell_digest
from dispr_cli.durable import remove_partial_files, replace_bytes
from dispr_cli.errors import WeightsError
from dispr_cli.inputs.cell import Cell

FORMAT = "dispr-cells/1"


@dataclass(frozen=True, slots=True)
class KnownCells:
    """What is recorded of the cells that weights have met.

    Attributes
    ----------
    sha256
        Of the file of weights; None for a network that starts from nothing.
    learned
        Digests of all cells learned from; None if they are not recorded, or not all of them.
    held_out
        Digests of cells that are known to be none of those.
    held_out_names
        Their names, for weights that record no digests.
    """

    sha256: str | None = None
    learned: frozenset[str] | None = frozenset()
    held_out: frozenset[str] = field(default_factory=frozenset)
    held_out_names: frozenset[str] = field(default_factory=frozenset)

    def never_learned(self, cells: TrainingCells) -> NDArray[np.bool_]:
        """Mark the cells that these weights surely did not learn from, (len(cells),).

        By digest; by name where the weights record names alone. What is not recorded counts as learned.
        """
        digests = cells.digests()
        if self.learned is not None:
            return np.array([digest not in self.learned for digest in digests], np.bool_)
        if self.held_out:
            return np.array([digest in self.held_out for digest in digests], np.bool_)
        return np.array([name in self.held_out_names for name in cells.names], np.bool_)

    def learned_from(self, cell: Cell) -> bool | None:
        """Whether these weights learned from a cell as it comes to them; None where nothing tells.

        By the same records as :meth:`never_learned`.
        """
        digest = cell_digest(cell)
        if self.learned is not None:
            return digest in self.learned
        unlearned = digest in self.held_out if self.held_out else cell.name in self.held_out_names
        return False if unlearned else None

    def after(self, learned: TrainingCells) -> KnownCells:
        """Return what weights know that started from these and then learned from more cells."""
        more = frozenset(learned.digests())
        known = None if self.learned is None else self.learned | more
        names = self.held_out_names - frozenset(learned.names)
        return KnownCells(self.sha256, known, self.held_out - more, names)

    def unaware_of(self, cells: TrainingCells) -> KnownCells:
        """Return the same where somebody who knows says that none of these cells was learned from."""
        digests = frozenset(cells.digests())
        known = None if self.learned is None else self.learned - digests
        return KnownCells(self.sha256, known, self.held_out | digests, self.held_out_names | set(cells.names))


NOTHING = KnownCells()
"""What random weights know."""


def cells_file(weights: Path) -> Path:
    """Where the digests lie of the cells behind weights that do not hold them."""
    return weights.with_name(f"{weights.stem}.cells.json")


def known_cells(provenance: Mapping[str, Any], sha256: str, path: Path | None = None) -> KnownCells:
    """Read what weights record, or what a file beside them does.

    Parameters
    ----------
    provenance
        As the file of weights holds it.
    sha256
        Of that file.
    path
        The file; None for weights that were never in one.

    Raises
    ------
    WeightsError
        If the file beside them is damaged.
    """
    learned = _texts(provenance.get("learned"))
    beside = None if path is None else cells_file(path)
    if learned is None and beside is not None and beside.exists():
        learned = _read_beside(beside, sha256)
    held_out, names = (_texts(provenance.get(key)) or () for key in ("held_out_digests", "held_out"))
    return KnownCells(
        sha256, None if learned is None else frozenset(learned), frozenset(held_out), frozenset(names)
    )


def write_cells_file(weights: Path, sha256: str, learned: TrainingCells, of: str) -> Path:
    """Write the digests of the cells behind weights beside them, whole or not at all.

    Parameters
    ----------
    weights, sha256
        The file of weights, and its digest.
    learned
        The cells behind them.
    of
        Says which cells they are.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    WeightsError
        If it cannot be written.
    """
    path = cells_file(weights)
    content = {
        "format": FORMAT,
        "weights_sha256": sha256,
        "of": of,
        "learned": sorted(set(learned.digests())),
    }
    try:
        remove_partial_files(path.parent, path.name)
        replace_bytes(path, (json.dumps(content, indent=0) + "\n").encode())
    except OSError as error:
        raise WeightsError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def _read_beside(path: Path, sha256: str) -> tuple[str, ...] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, expected {FORMAT!r}")
        learned = _texts(content["learned"])
        if learned is None:
            raise ValueError("it lists no cells")
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path}: cannot be read as the cells that the weights beside it learned from ({error}). Copy it "
            "again, or delete it: then nothing is assumed of what they have seen."
        ) from error
    return learned if content.get("weights_sha256") == sha256 else None


def _texts(values: Any) -> tuple[str, ...] | None:
    return tuple(map(str, values)) if isinstance(values, list) else None
