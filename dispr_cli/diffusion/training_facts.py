"""Which cells a file of weights was not trained on, read from its header alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from dispr_cli.errors import WeightsError

SUFFIX = ".safetensors"
UNFINISHED = f".state{SUFFIX}"
"""How the file ends that keeps the state of a training which is not done."""


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What a file of weights says about its training.

    Attributes
    ----------
    path
        The file.
    sha256
        Of its bytes, as a store records it.
    held_out
        Names of the cells kept out of the training; None if the file records none.
    provenance
        All that the file says of its training.
    """

    path: Path
    sha256: str
    held_out: frozenset[str] | None
    provenance: dict[str, Any] = field(default_factory=dict)


def read_training_facts(path: Path) -> TrainingFacts:
    """Read the facts of one file.

    Raises
    ------
    WeightsError
        If it is missing or no safetensors file.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
        provenance = json.loads(metadata.get("provenance", "{}"))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path}: is missing or no safetensors file ({error}). Give weights made by 'dispr train'."
        ) from error
    return TrainingFacts(path, digest, _names(provenance), provenance if isinstance(provenance, dict) else {})


def read_all_training_facts(paths: Iterable[Path]) -> list[TrainingFacts]:
    """Read the facts of several files; a folder stands for the ``.safetensors`` files in it, by name."""
    files: list[Path] = []
    for path in paths:
        inside = weights_in(path) if path.is_dir() else [path]
        if not inside:
            raise WeightsError(f"{path}: holds no .safetensors file; expected the weights of each fold.")
        files += inside
    return [read_training_facts(file) for file in files]


def weights_in(folder: Path, name: str = "*") -> list[Path]:
    """List the finished weights in a folder, by name; what lies beside them is left out."""
    return [path for path in sorted(folder.glob(f"{name}{SUFFIX}")) if not path.name.endswith(UNFINISHED)]


def fold_files(folder: Path) -> list[Path]:
    """List the weights of each fold, ``fold0.safetensors`` and so on.

    Raises
    ------
    WeightsError
        If there are none.
    """
    files = weights_in(folder, "fold*")
    if not files:
        raise WeightsError(
            f"{folder}: is a folder without weights of folds; expected fold0{SUFFIX} and so on."
        )
    return files


def _names(provenance: Any) -> frozenset[str] | None:
    held_out = provenance.get("held_out") if isinstance(provenance, dict) else None
    if not isinstance(held_out, list) or not held_out:
        return None
    return frozenset(str(name) for name in held_out)
