"""The whole flow of ``dispr study`` on one page: folds, networks, shapes, features, classes, summary.

Every stage leaves its files in the study's folder and is skipped, or gone on with, where they are there:

    study.json            what was asked for, and the folds
    truth.parquet         features of the true shapes
    weights/foldK         the network that never saw fold K
    shapes/foldK.zarr     what it makes of the cells it never saw
    shapes/foldK.known.zarr  and of those it was trained on
    predicted.foldK       features of these, in the same two tables
    classification/       tables and figures of the comparison
    summary.md
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dispr_cli.classification.classify import classify_tables
from dispr_cli.classification.labels import labels_from_names, read_labels
from dispr_cli.classification.report import PAGE, TABLES, write_classification
from dispr_cli.classification.tables import check_classes
from dispr_cli.config import SamplerConfig
from dispr_cli.durable import explained, replace_bytes
from dispr_cli.errors import ConfigError, InputError
from dispr_cli.inputs.plan import CellRef, Plan, plan_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.morphology.measure import measure_to_table
from dispr_cli.morphology.sources import find_shapes
from dispr_cli.pipeline import choose_cells_at_once, reconstruct_to_store
from dispr_cli.study.folds import assign_folds
from dispr_cli.whole_study.networks import given_networks, trained_networks
from dispr_cli.whole_study.settings import Machine, StudyConfig, StudyEvents

RECORD, SUMMARY, KNOWN = "study.json", "summary.md", ".known"


def run_study(
    data: Path,
    out: Path,
    config: StudyConfig,
    machine: Machine,
    events: StudyEvents,
    *,
    inputs: InputSettings,
    labels: Path | None = None,
    weights: Path | None = None,
    init: Path | None = None,
) -> Path:
    """Run every stage that is not finished.

    Parameters
    ----------
    data
        Folder with ``image/``, ``mask/`` and ``obj/``.
    out
        The study's folder.
    config
        What to do.
    machine
        Where.
    events
        Who is told how it goes.
    inputs
        How cells are read.
    labels
        Classes of the cells; None reads them from their names.
    weights
        Folder with ``fold0.safetensors`` and so on, instead of training.
    init
        Weights every training starts from; None for random ones.

    Returns
    -------
    Path
        The summary.

    Raises
    ------
    DisprError
        If the folder, the weights or the settings cannot be used.
    """
    plan = plan_cells(data, inputs)
    cells = [ref.name for ref in plan.cells if ref.truth is not None and ref.problem is None]
    if not cells:
        raise InputError(
            f"{data}: none of its cells has a ground truth in obj/; a study needs it for its classes."
        )
    known = labels_from_names(cells) if labels is None else read_labels(labels)
    cells = [cell for cell in cells if cell in known]
    given = given_networks(weights, cells) if weights else None
    check_classes([known[cell] for cell in cells], str(data))
    folds = _open_record(out, plan, {cell: known[cell] for cell in cells}, config, inputs, weights, init)
    networks = given or trained_networks(data, out, folds, config, machine, init, events)
    tables = _measured(plan, out, networks, config, machine, inputs, events)
    if not (out / "classification" / PAGE).exists():
        events.message("Classes")
        with events.classification() as watcher:
            found = classify_tables(tables[0], tables[1:], labels, config.classify, watcher)
        write_classification(found, config.classify, out / "classification")
    return _write_summary(out, data, config, networks, weights)


def _open_record(
    out: Path,
    plan: Plan,
    classes: Mapping[str, str],
    config: StudyConfig,
    inputs: InputSettings,
    weights: Path | None,
    init: Path | None,
) -> list[list[str]]:
    """Deal out the folds and write down what was asked for, or check that it is the same as before."""
    fold_of = assign_folds(tuple(classes), config.num_folds, config.seed, list(classes.values()))
    names = np.array(list(classes))
    folds = [sorted(names[fold_of == fold].tolist()) for fold in range(config.num_folds)]
    asked = {
        "source": plan.source.absolute().name,
        "settings": dataclasses.asdict(config),
        "inputs": dataclasses.asdict(inputs),
        "classes": dict(classes),
        "weights": None if weights is None else str(weights),
        "init": None if init is None else str(init),
        "folds": folds if weights is None else None,
    }
    content = json.loads(json.dumps(asked, default=str))
    path = out / RECORD
    with explained(out, "keep a study"):
        out.mkdir(parents=True, exist_ok=True)
        if path.is_file() and (changed := _changes(path, content)):
            raise ConfigError(
                f"{out}: holds a study of other {', '.join(changed)} (see {RECORD} there); give the same "
                "ones to go on, or another --out."
            )
        replace_bytes(path, (json.dumps(content, indent=1) + "\n").encode())
    return folds


def _changes(path: Path, asked: Mapping[str, Any]) -> list[str]:
    """Name what differs from the record of a study that was begun."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path}: is no record of a study ({error}); give another --out, or remove the folder."
        ) from error
    if not isinstance(kept, dict):
        raise ConfigError(f"{path}: is no record of a study; give another --out, or remove the folder.")
    return sorted(name for name in {*kept, *asked} if kept.get(name) != asked.get(name))


def _measured(
    plan: Plan,
    out: Path,
    networks: Sequence[Path],
    config: StudyConfig,
    machine: Machine,
    inputs: InputSettings,
    events: StudyEvents,
) -> list[Path]:
    """Measure the true shapes, and what each network makes of all cells; the true table first."""
    from dispr_cli.diffusion.training_facts import read_training_facts

    tables = [out / "truth.parquet"]
    if not tables[0].exists():
        events.message("Features of the true shapes")
        with events.features() as watcher:
            source = find_shapes(plan.source, inputs)
            measure_to_table(source, tables[0], threads=machine.threads, events=watcher)
    for path in networks:
        facts = read_training_facts(path)
        for part, refs, samples in _drawn_by(plan, facts.held_out, config):
            table, store = (
                out / f"predicted.{path.stem}{part}.parquet",
                out / "shapes" / f"{path.stem}{part}.zarr",
            )
            tables.append(table)
            if table.exists():
                continue
            events.message(f"Shapes by {path.stem}: {samples} of each of {len(refs)} cells")
            some = dataclasses.replace(plan, cells=refs)
            _reconstruct(some, store, path, samples, config, machine, inputs, events)
            with events.features() as watcher:
                source = find_shapes(store, inputs, facts={facts.sha256: facts.held_out})
                measure_to_table(source, table, threads=machine.threads, events=watcher)
    return tables


def _drawn_by(
    plan: Plan, held_out: frozenset[str] | None, config: StudyConfig
) -> list[tuple[str, tuple[CellRef, ...], int]]:
    """Say which cells a network draws how often: often those it never saw, which are tested by its shapes."""
    never = held_out or frozenset()
    unseen = tuple(ref for ref in plan.cells if ref.name in never)
    known = tuple(ref for ref in plan.cells if ref.name not in never)
    found = [("", unseen, config.num_samples), (KNOWN, known, config.num_known_samples)]
    return [part for part in found if part[1]]


def _reconstruct(
    plan: Plan,
    store: Path,
    weights: Path,
    num_samples: int,
    config: StudyConfig,
    machine: Machine,
    inputs: InputSettings,
    events: StudyEvents,
) -> None:
    from dispr_cli.methods import load_denoiser

    method = load_denoiser(
        weights,
        SamplerConfig(num_steps=config.num_steps),
        device=machine.device,
        precision=machine.precision,
        notify=events.message,
    )
    with events.reconstruction() as watcher:
        reconstruct_to_store(
            plan,
            store,
            method,
            inputs=inputs,
            num_samples=num_samples,
            seed=config.seed,
            cells_at_once=choose_cells_at_once(method, num_samples),
            events=watcher,
        )


def _write_summary(
    out: Path, data: Path, config: StudyConfig, networks: Sequence[Path], weights: Path | None
) -> Path:
    """Write the page that tells everything: how it was made, the figures, the tables."""
    made = (
        f"given ({weights.name})"
        if weights is not None
        else f"trained here on {config.num_examples} examples each"
    )
    if weights is None and config.num_examples < StudyConfig().num_examples:
        made += ", too few to learn much: a rehearsal, not a result"
    page = (out / "classification" / PAGE).read_text(encoding="utf-8")
    body = page.removeprefix("# Classification\n\n")
    figures = (
        "![Scores of all variants](classification/scores.png)\n\n"
        "![Who is taken for whom](classification/confusions.png)\n\n"
    )
    text = (
        f"# What predicted shapes add: {data.name}\n\n"
        f"{len(networks)} networks, {made}; shapes drawn of a cell by the network that never saw it: "
        f"{config.num_samples}, by each that did: {config.num_known_samples}, denoising "
        f"steps: {config.num_steps}, seed: {config.seed}. A cell is tested only with shapes by the network "
        "that never saw it.\n\n" + body.replace(TABLES, figures + TABLES, 1)
    )
    path = out / SUMMARY
    with explained(path, "write the summary"):
        replace_bytes(path, text.encode())
    return path
