"""The networks of a study: one for each fold, given or trained, none of which saw its fold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dispr_cli.errors import WeightsError
from dispr_cli.study.networks import NetworkRecord
from dispr_cli.study.splits import network_folds
from dispr_cli.whole_study.settings import Machine, StudyConfig, StudyEvents

if TYPE_CHECKING:
    from dispr_cli.diffusion.dataset import TrainingCells


def given_networks(weights: Path, cells: Sequence[str]) -> list[Path]:
    """Find the weights of each fold in a folder.

    Raises
    ------
    WeightsError
        If there are none.
    ConfigError
        If a cell was kept from none of them.
    """
    from dispr_cli.diffusion.training_facts import fold_files, read_training_facts

    files = fold_files(weights)
    facts = [read_training_facts(path) for path in files]
    network_folds(cells, {fact.sha256: NetworkRecord(fact.held_out) for fact in facts}, 1)
    return files


def trained_networks(
    data: Path,
    out: Path,
    folds: Sequence[Sequence[str]],
    config: StudyConfig,
    machine: Machine,
    init: Path | None,
    events: StudyEvents,
) -> list[Path]:
    """Train the network of each fold that is not there yet.

    Parameters
    ----------
    data
        Folder with ``image/``, ``mask/`` and ``obj/``.
    out
        The study's folder.
    folds
        Cells that each network never sees.
    config, machine, events
        As for :func:`dispr_cli.whole_study.run.run_study`.
    init
        Weights every training starts from; None for random ones.

    Returns
    -------
    list of Path
        The weights, fold by fold.
    """
    files = [out / "weights" / f"fold{fold}.safetensors" for fold in range(len(folds))]
    missing = [fold for fold, path in enumerate(files) if not path.exists()]
    if not missing:
        return files
    from dispr_cli.diffusion.folder import read_training_cells
    from dispr_cli.training import SETTINGS, TRAINED
    from dispr_cli.training_job import TrainingJob

    values: dict[str, Any] = {"num_examples": config.num_examples, "seed": config.seed}
    values |= {"device": machine.device, "precision": machine.precision}
    start = None if init is None else str(init)
    settings = SETTINGS["dispr"](values, start)
    cells = read_training_cells(
        data, skipped=lambda name, error: events.message(f"Left out: {name}: {error}")
    )
    if init is not None and not config.never_seen:
        _refuse_known_cells(init, cells.select(np.flatnonzero(np.isin(cells.names, np.concatenate(folds)))))
    for fold in missing:
        events.message(f"Network {fold + 1} of {len(folds)}: never sees {len(folds[fold])} cells")
        held = np.isin(cells.names, folds[fold])
        learned, kept_out = cells.select(np.flatnonzero(~held)), cells.select(np.flatnonzero(held))
        with events.training() as watcher:
            folder, known = data.name, config.never_seen
            TRAINED["dispr"](
                TrainingJob(learned, kept_out, files[fold], settings, start, folder, watcher, known)
            )
    return files


def _refuse_known_cells(init: Path, cells: TrainingCells) -> None:
    from dispr_cli.diffusion.training_run import start_of
    from dispr_cli.training import weights_to_start_from

    known = start_of(weights_to_start_from(str(init))).known
    if not known.never_learned(cells).all():
        raise WeightsError(
            f"{init}: does not record that these {len(cells)} cells were kept from its training, so networks "
            "that start from it would leak. Start from others, or say --never-seen if it knows none of them."
        )
