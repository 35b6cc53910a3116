"""Training learns, and goes on after a stop as if nothing had happened."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from dispr_cli.config import TrainingConfig
from dispr_cli.diffusion.checkpoint import load_denoiser
from dispr_cli.diffusion.dataset import TrainingCells, load_cells
from dispr_cli.diffusion.resumable_run import HeldOut, Progress, TrainingEvents, state_file
from dispr_cli.diffusion.training import Trainer
from dispr_cli.diffusion.training_run import train_denoiser
from dispr_cli.errors import WeightsError
from tests.diffusion.tiny import TINY, make_denoiser

SHORT = TrainingConfig(num_examples=16, batch_size=2, warmup=2, ema_half_life=8.0)
CPU = torch.device("cpu")


def weights_of(trainer: Trainer) -> list[torch.Tensor]:
    return [*trainer.denoiser.parameters(), *trainer.average.parameters()]


def ignore(progress: Progress) -> None:
    pass


def test_loss_falls(training_cells: TrainingCells) -> None:
    config = dataclasses.replace(SHORT, num_examples=160, learning_rate=3e-3)
    losses: list[float] = []
    Trainer(training_cells, config, TINY, CPU).run(lambda progress: losses.append(progress.loss))
    assert np.mean(losses[-20:]) < 0.7 * np.mean(losses[:20])


def test_a_resumed_training_ends_in_the_same_weights(training_cells: TrainingCells, tmp_path: Path) -> None:
    whole = Trainer(training_cells, SHORT, TINY, CPU)
    whole.run(ignore)

    first = Trainer(training_cells, SHORT, TINY, CPU)
    for _ in range(3):
        first._take_step()
    first.save(tmp_path / "state.safetensors")
    second = Trainer(training_cells, SHORT, TINY, CPU)
    second.resume(tmp_path / "state.safetensors")
    assert second.step == 3
    second.run(ignore)
    assert all(torch.equal(a, b) for a, b in zip(weights_of(whole), weights_of(second), strict=True))


def test_another_trainings_state_is_refused(training_cells: TrainingCells, tmp_path: Path) -> None:
    Trainer(training_cells, SHORT, TINY, CPU).save(tmp_path / "state.safetensors")
    other = dataclasses.replace(SHORT, learning_rate=1e-5)
    with pytest.raises(WeightsError, match="other settings"):
        Trainer(training_cells, other, TINY, CPU).resume(tmp_path / "state.safetensors")


def test_cells_without_odds_are_never_drawn(training_cells: TrainingCells) -> None:
    odds = np.zeros(len(training_cells))
    odds[2] = 1.0
    trainer = Trainer(training_cells, SHORT, TINY, CPU, odds=odds)
    drawn: list[int] = []
    whole = trainer.resident

    class Recorder:
        def examples(self, index, device):
            drawn.extend(index.tolist())
            return whole.examples(index, device)

    trainer.resident = Recorder()
    trainer._take_step()
    assert set(drawn) == {2}


def test_a_run_stops_in_time_goes_on_and_leaves_weights(
    training_cells: TrainingCells, tmp_path: Path
) -> None:
    out = tmp_path / "model.safetensors"

    def run(until: float) -> bool:
        held = training_cells.select(np.array([0, 1]))
        learned = training_cells.select(np.array([2, 3, 4, 5]))
        return train_denoiser(
            learned,
            out,
            SHORT,
            TINY,
            device=CPU,
            held_out=held,
            events=TrainingEvents(held_out=lambda p, m: metrics.append(m), resumed=resumed.append),
            until=until,
        )

    metrics: list[HeldOut] = []
    resumed: list[int] = []
    assert not run(time.monotonic() - 1.0)
    assert resumed == []
    assert state_file(out).exists()
    assert not out.exists()
    assert run(float("inf"))
    assert resumed == [0]
    assert not state_file(out).exists()
    checkpoint = load_denoiser(out)
    assert checkpoint.provenance["held_out"] == [training_cells.names[0], training_cells.names[1]]
    assert len(metrics) >= 8
    assert all(0.0 <= m.iou <= 1.0 and 0.0 <= m.sample_iou <= 1.0 for m in metrics)


def test_fine_tuning_starts_from_the_weights_given(training_cells: TrainingCells) -> None:
    trainer = Trainer(training_cells, SHORT, TINY, CPU)
    start = make_denoiser(3)
    trainer.start_from(start)
    assert all(
        torch.equal(a, b) for a, b in zip(trainer.denoiser.parameters(), start.parameters(), strict=True)
    )


def test_packed_cells_come_back(training_cells: TrainingCells, tmp_path: Path) -> None:
    training_cells.save(tmp_path / "cells.npz")
    back = load_cells(tmp_path / "cells.npz")
    assert back.names == training_cells.names
    assert (back.distance == training_cells.distance).all()
    assert (back.image == training_cells.image).all()


@pytest.mark.parametrize("setting", [{"area_weight": 4.0}, {"dropout": 0.5}])
def test_areas_and_silenced_features_have_a_part_in_the_loss(
    training_cells: TrainingCells, setting: dict[str, float]
) -> None:
    plain = dataclasses.replace(SHORT, area_weight=0.0, dropout=0.0, learning_rate=3e-3)
    trainers = [
        Trainer(training_cells, config, TINY, CPU)
        for config in (plain, dataclasses.replace(plain, **setting))
    ]
    losses = [[float(trainer._take_step()) for _ in range(6)] for trainer in trainers]
    # Nothing is drawn at the first step: the network's last layer begins with zeros.
    assert losses[0][-1] != losses[1][-1]
