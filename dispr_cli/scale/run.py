"""One run's store: whoever comes first creates it, others go on with it, the last completes its table."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dispr_cli import __version__
from dispr_cli.errors import StoreError
from dispr_cli.inputs.plan import Plan
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.method import Method
from dispr_cli.scale.file_names import absolute_name, source_folder
from dispr_cli.scale.parts import WHOLE, Part
from dispr_cli.scale.same_cells import refuse_other_cells
from dispr_cli.scale.shards import Job
from dispr_cli.volumes.attributes import read_attributes
from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.layout import cells_per_shard
from dispr_cli.volumes.store import VolumeStore


def open_run(
    plan: Plan,
    out: Path,
    method: Method,
    job: Job,
    num_samples: int,
    *,
    overwrite: bool = False,
    workers: int = 1,
    part: Part = WHOLE,
) -> VolumeStore:
    """Create the store of a run, or open the one that an earlier run or another worker began.

    Parameters
    ----------
    workers
        Processes that will share the shards of a new store: there are at least as many shards if cells allow.
    part
        The share of the shards that will be done, and whose finished cells are compared with the input.

    Raises
    ------
    StoreError
        If the store cannot be written, belongs to a run with other settings or of another version, or holds
        cells that were made from other pixels.
    """
    num_cells = len(plan.cells)

    def opened() -> VolumeStore:
        return create_or_resume(
            out,
            num_cells=num_cells,
            num_samples=num_samples,
            voxel_size_um=plan.voxel_size_um,
            configuration=run_configuration(method, job.inputs, num_samples, job.seed),
            cells=[ref.name for ref in plan.cells],
            provenance={
                "version": __version__,
                "source": str(absolute_name(plan.source)),
                "folder": str(source_folder(plan.source)),
            },
            shard_cells=min(cells_per_shard(num_samples), -(-num_cells // workers)),
            overwrite=overwrite,
        )

    try:
        store = opened()
    except StoreError:
        # Another machine may have begun the store, even a moment ago, in the precision that suits it best.
        if overwrite or not take_precision(method, _configuration_of(out)):
            raise
        store = opened()
    shards = part.shards_of(store.grid.num_shards)
    _refuse_other_version(store, shards, job.retry_failed)
    refuse_other_cells(store, plan.cells, shards, job.inputs)
    return store


def take_precision(method: Method, configuration: Mapping[str, Any]) -> bool:
    """Let a method whose precision was left to the machine (``auto``) compute in that of a store.

    Parameters
    ----------
    configuration
        Of the store.

    Returns
    -------
    Whether the method changed.
    """
    precision = configuration.get("precision")
    return precision in ("fp32", "bf16") and method.take_precision(precision)


def _configuration_of(out: Path) -> dict[str, Any]:
    try:
        return read_attributes(out).configuration
    except StoreError:
        return {}


def _refuse_other_version(store: VolumeStore, shards: Sequence[int], retry_failed: bool) -> None:
    """Refuse to add cells to the store of another version; nothing is wrong with one that lacks none."""
    theirs = store.provenance.get("version", __version__)
    unfinished = store.cells.unfinished_shards(shards, retry_failed=retry_failed)
    if theirs != __version__ and next(unfinished, None) is not None:
        raise StoreError(
            f"{store.path} was begun by dispr {theirs}, this is dispr {__version__}, and a store holds the "
            f"results of one version: install {theirs} wherever the run goes on, or choose another output "
            "for all its parts."
        )


def finish_part(store: VolumeStore, part: Part) -> None:
    """Assemble the table, unless other parts will come after this one.

    Raises
    ------
    StoreError
        If the table cannot be written.
    """
    # A part writes its last shard before it looks here, so the last to look sees all shards.
    if part.is_whole or store.is_complete():
        store.finish()


def run_configuration(method: Method, inputs: InputSettings, num_samples: int, seed: int) -> dict[str, Any]:
    """Everything that decides the results of a run; a store is only continued with the same."""
    return {
        **method.identity(),
        "num_samples": num_samples,
        "seed": seed,
        "inputs": dataclasses.asdict(inputs),
    }
