"""Training all peers on a GPU, at an eighth of the side: no fold sees its cells, nothing is done twice."""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import train_peers_gpu as script
from dispr_cli.baselines.dispr2022.weights import load_dispr2022
from dispr_cli.diffusion.checkpoint import read_tensors
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.study.folds import assign_folds

SIDE, COUNT = 8, 6


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    radii = np.linspace(1.5, 3.2, COUNT)[:, None, None, None]
    z, y, x = np.indices((SIDE, SIDE, SIDE)) - np.array([4, 3.5, 3.5])[:, None, None, None]
    distance = np.clip(10 * (radii - np.sqrt(x**2 + y**2 + z**2)), -120, 120).astype(np.int8)
    outline = np.clip(10 * (radii[..., 0] - np.hypot(x, y)[0]), -120, 120).astype(np.int8)
    image = np.where(outline > 0, 200, 10).astype(np.uint8)
    path = tmp_path / "cells.npz"
    TrainingCells(tuple(f"cell{k}" for k in range(COUNT)), distance, outline, image).save(path)
    return path


def arguments(cells: Path, folder: Path, **changes: object) -> Namespace:
    values = {
        "cells": cells,
        "phantoms": cells,
        "work": folder / "work",
        "out": folder / "out",
        "methods": ["dispr2022"],
        "folds": [0, 1],
        "device": "cpu",
        "channels": 2,
        "rate": 1e-3,
        "batch": 2,
        "pretrain_seconds": 0.2,
        "fold_seconds": 0.2,
        "sample_seconds": 0.2,
        "sample_batch": 4,
        "samples": 2,
        "sampler": "ddpm",
        "steps": 0,
        "eta": 0.0,
        "report": 1000,
        "most_bytes": 62 * 2**20,
    }
    return Namespace(**(values | changes))


def test_every_fold_is_sampled_by_weights_that_never_saw_it(cells: Path, tmp_path: Path) -> None:
    args = arguments(cells, tmp_path)
    args.work.mkdir()
    script.run_dispr2022(args, script.load_cells(cells))
    steps = set()
    for fold in args.folds:
        with np.load(args.work / f"dispr2022.fold{fold}.samples.npz", allow_pickle=False) as file:
            names, volumes, facts = list(file["names"]), file["volumes"], json.loads(str(file["facts"]))
        held = assign_folds([f"cell{k}" for k in range(COUNT)], script.NUM_FOLDS) == fold
        assert names == [f"cell{k}" for k in np.flatnonzero(held)]
        assert facts["training"]["held_out"] == names
        assert facts["training"]["cells"] == COUNT - len(names)
        assert volumes.shape == (len(names), 2, SIDE, SIDE, SIDE)
        assert volumes.dtype == np.uint8
        weights = load_dispr2022(args.work / f"dispr2022.fold{fold}.safetensors")
        assert facts["weights_sha256"] == weights.sha256
        steps.add(facts["num_steps"])
    assert len(steps) == 1
    # Nothing that is there already is done again.
    before = {path: path.stat().st_mtime_ns for path in args.work.iterdir()}
    script.run_dispr2022(args, script.load_cells(cells))
    assert {path: path.stat().st_mtime_ns for path in args.work.iterdir()} == before


def test_folds_start_from_the_phantoms_and_move_on(cells: Path, tmp_path: Path) -> None:
    args = arguments(cells, tmp_path, folds=[0])
    args.work.mkdir()
    script.run_dispr2022(args, script.load_cells(cells))
    first, fold = (
        read_tensors(args.work / f"dispr2022.{name}.safetensors", script.FORMAT)[0]
        for name in ("phantoms", "fold0")
    )
    moved = [float((first[name].float() - fold[name].float()).abs().max()) for name in first]
    assert 0 < max(moved) < 0.1
    assert all(tensor.dtype == torch.bfloat16 for tensor in fold.values())


def test_the_rate_falls_to_nothing_when_the_time_is_over(
    cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()
    monkeypatch.setattr("time.monotonic", lambda: 0.01 * next(clock))
    config = script.Dispr2022Config(num_examples=10**9, learning_rate=1e-3)
    network = script.NetworkConfig(channels=2, multipliers=(1,), attention_levels=(), groups=2)
    trainer = script.TimedTrainer(
        script.load_cells(cells), config, torch.device("cpu"), False, network, seconds=1.0
    )
    rates = []
    complete = trainer.run(
        lambda step: rates.append(trainer.optimizer.param_groups[0]["lr"]), trainer.begin()
    )
    assert not complete
    assert len(rates) >= 5
    assert max(rates) > 5 * rates[-1]


def test_the_archive_comes_apart_and_together_again(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = arguments(cells, tmp_path, most_bytes=2500)
    args.work.mkdir()
    contents = {
        "shapr.fold0.safetensors": 900,
        "dispr2022.fold0.samples.npz": 1200,
        "dispr2022.phantoms.x": 999,
    }
    for name, size in {**contents, "shapr.fold1.state.safetensors": 10}.items():
        (args.work / name).write_bytes(bytes(size))
    monkeypatch.setattr(script, "PIECE", 2048)
    script.pack(args)
    pieces = sorted(args.out.iterdir())
    assert len(pieces) > 1
    with tarfile.open(fileobj=io.BytesIO(b"".join(piece.read_bytes() for piece in pieces))) as tar:
        sizes = {member.name: member.size for member in tar.getmembers()}
    # The phantoms' network would not fit any more, and states of trainings are of no use elsewhere.
    assert sizes == {"shapr.fold0.safetensors": 900, "dispr2022.fold0.samples.npz": 1200}
