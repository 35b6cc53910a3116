"""Volumes that were sampled elsewhere, on a GPU that is gone, behind the interface of all methods.

A file ``*.samples.npz`` holds the held-out cells of one fold: ``names`` (N,), ``volumes`` (N, S, 64, 64, 64)
uint8 with the surface at 127.5, and ``facts``, JSON that says which weights drew them, how, and which cells
those weights never saw.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import GRID
from dispr_cli.errors import ConfigError, InputError
from dispr_cli.inputs.cell import Cell
from dispr_cli.method import Method

SUFFIX = ".samples.npz"
DRAWN_BY = ("sampler", "num_steps", "eta", "precision", "snapped", "device")
"""Facts that the files of one method share, and that stand in the store."""


@dataclass(frozen=True)
class SampledFold:
    """What one file holds.

    Attributes
    ----------
    path
        The file.
    volumes
        By cell: (S, 64, 64, 64) uint8.
    facts
        Method, sampler and weights.
    sha256
        Of the file.
    """

    path: Path
    volumes: dict[str, NDArray[np.uint8]]
    facts: dict[str, Any]
    sha256: str

    @property
    def num_samples(self) -> int:
        """Samples of each cell."""
        return min(len(samples) for samples in self.volumes.values())


def read_sampled_fold(path: Path) -> SampledFold:
    """Read one file, and check that its weights never saw its cells.

    Raises
    ------
    InputError
        If it is missing, damaged or something else, or holds a cell that its weights were trained on.
    """
    try:
        content = path.read_bytes()
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            names, volumes = [str(name) for name in file["names"]], file["volumes"]
            facts = json.loads(str(file["facts"]))
    except (OSError, KeyError, ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: holds no sampled volumes ({error}); expected names, volumes and facts, "
            "as benchmarks/train_peers_gpu.py writes them. Copy it again."
        ) from error
    expected = (len(names), *volumes.shape[1:2], GRID, GRID, GRID)
    if not names or volumes.shape != expected or volumes.dtype != np.uint8 or not volumes.shape[1]:
        raise InputError(
            f"{path}: holds {len(names)} names and volumes of shape {volumes.shape} ({volumes.dtype}); "
            f"expected (cells, samples, {GRID}, {GRID}, {GRID}) of uint8"
        )
    training = facts.get("training") if isinstance(facts, dict) else None
    held_out = training.get("held_out", ()) if isinstance(training, dict) else ()
    seen = [name for name in names if name not in held_out]
    if seen:
        raise InputError(
            f"{path}: its facts do not say that cell {seen[0]} was held out of the training of the weights "
            "that drew it, so it cannot stand in a comparison on held-out cells"
        )
    return SampledFold(
        path, dict(zip(names, volumes, strict=True)), facts, hashlib.sha256(content).hexdigest()
    )


class SampledMethod(Method):
    """Samples of several folds that stand as one method; see :class:`dispr_cli.method.Method`.

    Parameters
    ----------
    name
        Of the method that drew them.
    folds
        From :func:`read_sampled_fold`.

    Raises
    ------
    InputError
        If there is none, one was drawn by another method or in another way, or two hold the same cell.
    """

    def __init__(self, name: str, folds: Sequence[SampledFold]) -> None:
        if not folds:
            raise InputError(f"no sampled volumes of {name} were given; expected one file for each fold")
        self.name, self.folds = name, tuple(folds)
        self._volumes: dict[str, NDArray[np.uint8]] = {}
        for fold in folds:
            drawn_by = {key: fold.facts.get(key) for key in ("method", *DRAWN_BY)}
            first = {key: folds[0].facts.get(key) for key in DRAWN_BY}
            if drawn_by != {"method": name, **first}:
                raise InputError(
                    f"{fold.path}: was drawn by {drawn_by}; expected method {name}, in the way of "
                    f"{folds[0].path.name}: {first}"
                )
            twice = self._volumes.keys() & fold.volumes.keys()
            if twice:
                raise InputError(f"{fold.path}: holds cell {min(twice)}, which another file holds too")
            self._volumes |= fold.volumes

    @property
    def covered(self) -> frozenset[str]:
        """Names of the cells that there are volumes of."""
        return frozenset(self._volumes)

    def describe(self) -> str:
        """Say where they come from."""
        facts, count = self.folds[0].facts, len(self.folds)
        return f"volumes of {count} folds drawn on {facts.get('device')} in {facts.get('num_steps')} steps"

    def identity(self) -> dict[str, Any]:
        """Sampler, hash of all weights and of each, and hash of each file of volumes."""
        weights = {fold.path.name: str(fold.facts.get("weights_sha256")) for fold in self.folds}
        together = hashlib.sha256("".join(sorted(weights.values())).encode()).hexdigest()
        return {
            "method": self.name,
            **{key: self.folds[0].facts.get(key) for key in DRAWN_BY},
            "weights_sha256": together,
            "held_out_weights": weights,
            "sampled_volumes": {fold.path.name: fold.sha256 for fold in self.folds},
        }

    def learned_from(self, cell: Cell) -> bool | None:
        """Whether the weights that drew a cell had learned from it, as the files record."""
        from dispr_cli.diffusion.known_cells import known_cells

        fold = next((fold for fold in self.folds if cell.name in fold.volumes), None)
        if fold is None:
            return None
        return known_cells(fold.facts["training"], str(fold.facts.get("weights_sha256"))).learned_from(cell)

    def reconstruct(self, cells: Sequence[Cell], num_samples: int, seed: int) -> NDArray[np.uint8]:
        """Hand out the first samples of each cell, whatever the seed.

        Raises
        ------
        InputError
            If there are no volumes of a cell.
        ConfigError
            If there are fewer samples than are asked for.
        """
        fewest = min(fold.num_samples for fold in self.folds)
        if num_samples > fewest:
            raise ConfigError(
                f"--samples is {num_samples}, but only {fewest} were drawn of each cell by {self.name}; "
                "ask for fewer"
            )
        missing = [cell.name for cell in cells if cell.name not in self._volumes]
        if missing:
            raise InputError(f"cell {missing[0]}: there is no volume of it among the samples of {self.name}")
        return np.stack([self._volumes[cell.name][:num_samples] for cell in cells])


def load_sampled_method(name: str, folder: Path) -> SampledMethod:
    """Read all samples of a method in a folder.

    Raises
    ------
    InputError
        If there are none, or they cannot be used.
    """
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        raise InputError(f"{folder}: holds no {name}.fold0{SUFFIX} and so on")
    return SampledMethod(name, [read_sampled_fold(file) for file in files])
