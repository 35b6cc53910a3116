"""Every method on the same held-out cells: train in each fold, reconstruct what was kept out, compare."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dispr_cli.config import METHODS, ReconstructConfig
from dispr_cli.errors import ConfigError
from dispr_cli.evaluation import EvaluationEvents, evaluate
from dispr_cli.held_out import HeldOutMethod, only_held_out
from dispr_cli.inputs.plan import Plan, plan_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.methods import MethodOptions, load_method
from dispr_cli.pipeline import choose_cells_at_once, reconstruct_to_store
from dispr_cli.sampled_volumes import SampledMethod, load_sampled_method
from dispr_cli.scale.shards import Events
from dispr_cli.scoring.predictions import open_predictions
from dispr_cli.scoring.truths import open_truths
from dispr_cli.study.folds import assign_folds
from dispr_cli.training import SETTINGS, TRAINED
from dispr_cli.training_job import TrainingJob, TrainingWatcher

if TYPE_CHECKING:
    from dispr_cli.diffusion.dataset import TrainingCells
    from dispr_cli.method import Method
    from dispr_cli.scoring.result import Evaluation

WEIGHTS = "weights"

UNIMPORTANT = ("device", "precision", "checkpoint_minutes", "validation_fraction")
"""Training settings that decide nothing of what is learned in a fold."""


@dataclass(frozen=True, slots=True)
class PeerStudy:
    """What is compared, and how.

    Attributes
    ----------
    methods
        Names as ``--method`` takes them; ``NAME:VARIANT`` picks a variant.
    num_folds
        Parts the cells are divided into, by cell and stratified by class.
    num_samples, seed
        Samples of each cell, and what decides them.
    settings
        Training settings of each method by name.
    weights
        Folders with weights that are trained already, ``fold0.safetensors`` and so on, by method, or by
        ``NAME:LABEL`` where one method is compared with several trainings. Each must record the cells held
        out of its training; where folds are missing, fewer cells are compared.
    volumes
        Folders with ``*.samples.npz`` by method, whose samples were drawn elsewhere; nothing is trained then.
        Under any other name, volumes that another program predicted, see
        :func:`dispr_cli.scoring.predictions.open_predictions`.
    never_seen
        Names among those whose programs were trained on none of the cells that they predicted.
    device
        Where networks are trained and run.
    """

    methods: tuple[str, ...] = METHODS
    num_folds: int = 5
    num_samples: int = 5
    seed: int = 0
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    weights: Mapping[str, Path] = field(default_factory=dict)
    volumes: Mapping[str, Path] = field(default_factory=dict)
    never_seen: tuple[str, ...] = ()
    device: str = "auto"

    def __post_init__(self) -> None:
        for method in self.methods:
            if method.partition(":")[0] not in METHODS:
                raise ConfigError(f"there is no method {method!r}: expected some of {', '.join(METHODS)}")
        if not 2 <= self.num_folds <= 100:
            raise ConfigError(f"--folds is {self.num_folds}: expected a whole number from 2 to 100")
        named = {*self.settings, *(method.partition(":")[0] for method in self.weights)}
        if unknown := named - set(METHODS):
            raise ConfigError(f"there is no method {min(unknown)!r}: expected some of {', '.join(METHODS)}")


def compare_peers(
    data: Path,
    out: Path,
    study: PeerStudy,
    training: TrainingWatcher,
    reconstruction: Events | None = None,
    evaluation: EvaluationEvents | None = None,
) -> Evaluation:
    """Train, reconstruct and compare; what an earlier run finished is kept.

    Parameters
    ----------
    data
        Folder with ``image/``, ``mask/`` and ``obj/``.
    out
        Folder that gets ``weights/METHOD/foldK.safetensors``, ``METHOD.zarr`` and ``evaluation/``.
    study
        What is compared.
    training, reconstruction, evaluation
        Who is told how each stage goes.

    Raises
    ------
    DisprError
        If the folder, the settings or weights cannot be used.
    """
    from dispr_cli.diffusion.folder import read_training_cells

    for method, values in study.settings.items():
        if method in SETTINGS:
            SETTINGS[method](values, None)
    cells = read_training_cells(
        data, skipped=lambda name, error: training.message(f"Left out: {name}: {error}")
    )
    plan = plan_cells(data)
    foreign = {name: path for name, path in study.volumes.items() if name not in METHODS}
    for path in foreign.values():  # What cannot be read is told before anything is trained.
        open_predictions(path, cells.names, open_truths(data))
    stores: list[Path | str] = []
    for method in study.methods:
        store = out / f"{method.replace(':', '-')}.zarr"
        loaded = _loaded(method, cells, out, study, training)
        _reconstruct(plan, store, loaded, study, training, reconstruction)
        stores.append(store)
    return evaluate(
        [*stores, *foreign.values()],
        data,
        out=out / "evaluation",
        names=[*(method.replace(":", " ") for method in study.methods), *foreign],
        never_seen=study.never_seen,
        classes_from_name=True,
        events=evaluation,
    )


def _loaded(
    method: str, cells: TrainingCells, out: Path, study: PeerStudy, events: TrainingWatcher
) -> Method:
    """Load ``NAME``, ``NAME:VARIANT`` or, where there are weights of that name, ``NAME:LABEL``."""
    name, _, variant = method.partition(":")
    if name in study.volumes:
        return load_sampled_method(name, study.volumes[name])
    weights = study.weights.get(method)
    if weights is None and name in TRAINED:
        weights = _weights(name, cells, out, study, events)
    run = ReconstructConfig(study.num_samples, study.seed, device=study.device)
    chosen = None if method in study.weights else variant or None
    return load_method(name, MethodOptions(weights=weights, variant=chosen, run=run), events.message)


def _weights(method: str, cells: TrainingCells, out: Path, study: PeerStudy, events: TrainingWatcher) -> Path:
    """Weights of every fold, trained unless they are there.

    Raises
    ------
    ConfigError
        If those that are there were trained on other cells or with other settings.
    """
    if method in study.weights:
        return study.weights[method]
    folder = out / WEIGHTS / method
    fold = assign_folds(cells.names, study.num_folds)
    for number in range(study.num_folds):
        file = folder / f"fold{number}.safetensors"
        held = fold == number
        learned, held_out = (cells.select(np.flatnonzero(part)) for part in (~held, held))
        values = {**study.settings.get(method, {})}
        if file.exists():
            _refuse_another_training(file, method, learned, held_out, values)
            continue
        events.message(f"{method}: training fold {number} of 0 to {study.num_folds - 1}")
        config = SETTINGS[method](values, None)
        if study.device != "auto" and hasattr(config, "device"):
            config = dataclasses.replace(config, device=study.device)
        TRAINED[method](TrainingJob(learned, held_out, file, config, None, str(number), events))
    return folder


def _refuse_another_training(
    file: Path, method: str, learned: TrainingCells, held_out: TrainingCells, values: Mapping[str, Any]
) -> None:
    """Compare what weights record with what would be trained now; where it ran does not matter."""
    from dispr_cli.diffusion.known_cells import NOTHING
    from dispr_cli.diffusion.resumable_run import facts_of_cells, never_learned
    from dispr_cli.diffusion.training_facts import read_training_facts

    recorded = read_training_facts(file).provenance
    facts = facts_of_cells(NOTHING, learned, never_learned(NOTHING, learned, held_out))
    called = {"learned": "cells to learn from", "held_out": "held-out cells"}
    differing = [words for name, words in called.items() if recorded.get(name) != facts[name]]
    # Through JSON and back, as the file has it.
    wanted = json.loads(json.dumps(dataclasses.asdict(SETTINGS[method](values, None))))
    found = recorded.get("training")
    found = found if isinstance(found, dict) else {}
    differing += [key for key in wanted if key not in UNIMPORTANT and found.get(key) != wanted[key]]
    if differing:
        raise ConfigError(
            f"{file}: was trained with other {', '.join(differing)}; give the same to go on, remove the "
            "weights to train anew, or give another --out."
        )


def _reconstruct(
    plan: Plan,
    store: Path,
    method: Method,
    study: PeerStudy,
    messages: TrainingWatcher,
    events: Events | None,
) -> None:
    if isinstance(method, HeldOutMethod | SampledMethod):
        # Some folds only: what they may be tried on is compared, the rest is left out.
        plan = only_held_out(plan, method.covered, method.name)
    messages.message(f"{store.name}: {len(plan.cells)} cells by {method.name} on {method.describe()}")
    reconstruct_to_store(
        plan,
        store,
        method,
        inputs=InputSettings(),
        num_samples=study.num_samples,
        seed=study.seed,
        cells_at_once=choose_cells_at_once(method, study.num_samples),
        events=events,
    )


def parse_folders(texts: Sequence[str], option: str) -> dict[str, Path]:
    """Read ``METHOD=FOLDER`` pairs of the command line.

    Raises
    ------
    ConfigError
        If one is no such pair, or its folder is missing.
    """
    found = {}
    for text in texts:
        method, equals, folder = text.partition("=")
        if not equals or not Path(folder).is_dir():
            raise ConfigError(f"{option} is {text!r}: expected METHOD=FOLDER, and the folder to be there")
        found[method] = Path(folder)
    return found
