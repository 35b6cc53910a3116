"""Training learns, and goes on after a stop as if nothing had happened."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from dispr_cli.config import TrainingConfig
from dispr_cli.diffusion.checkpoint import load_denoiser
from dispr_cli.diffusion.dataset import TrainingCells, load_cells
from dispr_cli.diffusion.held_out_metrics import HeldOut
from dispr_cli.diffusion.known_cells import KnownCells
from dispr_cli.diffusion.resumable_run import Progress, Start, TrainingEvents, state_file
from dispr_cli.diffusion.training import Trainer
from dispr_cli.diffusion.training_run import train_denoiser
from dispr_cli.diffusion.training_state import Origin
from dispr_cli.errors import WeightsError
from tests.diffusion.tiny import TINY, make_denoiser

SHORT = TrainingConfig(num_examples=16, batch_size=2, warmup=2, ema_half_life=8.0)
CPU = torch.device("cpu")
ORIGIN = Origin("cells")


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
    first.save(tmp_path / "state.safetensors", ORIGIN)
    second = Trainer(training_cells, SHORT, TINY, CPU)
    second.resume(tmp_path / "state.safetensors", ORIGIN)
    assert second.step == 3
    second.run(ignore)
    assert all(torch.equal(a, b) for a, b in zip(weights_of(whole), weights_of(second), strict=True))


def test_another_trainings_state_is_refused(training_cells: TrainingCells, tmp_path: Path) -> None:
    Trainer(training_cells, SHORT, TINY, CPU).save(tmp_path / "state.safetensors", ORIGIN)
    other = dataclasses.replace(SHORT, learning_rate=1e-5)
    with pytest.raises(WeightsError, match="other settings"):
        Trainer(training_cells, other, TINY, CPU).resume(tmp_path / "state.safetensors", ORIGIN)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("names", "cells to learn from"),
        ("image", "cells to learn from"),
        ("shape", "cells to learn from"),
        ("held out", "held-out cells"),
        ("start", "weights to start from"),
        ("odds", "odds of its cells"),
    ],
)
def test_a_stopped_training_does_not_go_on_with_anything_else(
    training_cells: TrainingCells, tmp_path: Path, what: str, message: str
) -> None:
    out = tmp_path / "model.safetensors"
    learned, held = training_cells.select(np.arange(4)), training_cells.select(np.array([4, 5]))
    start = Start(make_denoiser(), KnownCells(sha256="one"))

    def run(cells: TrainingCells, held_out: TrainingCells, start: Start, odds: np.ndarray) -> bool:
        return train_denoiser(
            *(cells, out, SHORT, TINY), device=CPU, held_out=held_out, start=start, odds=odds, until=0.0
        )

    same = np.ones(4)
    assert not run(learned, held, start, same)
    assert not run(learned, held, start, same)
    other, odds = learned, same
    if what == "names":
        other = dataclasses.replace(learned, names=("z", *learned.names[1:]))
    elif what == "image":
        other = dataclasses.replace(learned, image=learned.image ^ (np.arange(64) == 3).astype(np.uint8))
    elif what == "shape":
        other = dataclasses.replace(learned, distance=learned.distance[[1, 0, 2, 3]])
    elif what == "held out":
        held = held.select(np.array([0]))
    elif what == "start":
        start = Start(make_denoiser(), KnownCells(sha256="other"))
    else:
        odds = np.arange(4.0)
    with pytest.raises(
        WeightsError, match=rf"state\.safetensors: belongs to a training with other {message}"
    ):
        run(other, held, start, odds)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_within_a_step_leaves_no_half_step_behind(
    training_cells: TrainingCells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str) -> list[torch.Tensor]:
        out = tmp_path / f"{name}.safetensors"
        assert train_denoiser(training_cells, out, SHORT, TINY, device=CPU)
        return list(load_denoiser(out).denoiser.parameters())

    whole, step = run("whole"), torch.optim.AdamW.step
    for count, interrupt in enumerate(
        (lambda: os.kill(os.getpid(), signal.SIGINT), lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    ):
        left = [3]

        def interrupted(self: torch.optim.AdamW, *args, interrupt=interrupt, left=left, **kwargs) -> object:
            found = step(self, *args, **kwargs)
            left[0] -= 1
            if left[0] == 0:
                interrupt()
            return found

        monkeypatch.setattr(torch.optim.AdamW, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(f"stopped{count}")
        monkeypatch.setattr(torch.optim.AdamW, "step", step)
        # A signal waits for the end of its step, which is kept; an exception within one keeps nothing.
        assert state_file(tmp_path / f"stopped{count}.safetensors").exists() is (count == 0)
        assert all(torch.equal(a, b) for a, b in zip(whole, run(f"stopped{count}"), strict=True))


def test_the_shipped_weights_are_the_running_average(training_cells: TrainingCells) -> None:
    config = dataclasses.replace(SHORT, batch_size=2, ema_half_life=0.3, learning_rate=1e-2)
    trainer = Trainer(training_cells, config, TINY, CPU)
    first = [p.detach().clone() for p in trainer.denoiser.parameters()]
    trainer._take_step()
    second = [p.detach().clone() for p in trainer.denoiser.parameters()]
    trainer._take_step()
    third = list(trainer.denoiser.parameters())
    # Of a half-life of h examples, 0.5 ** (batch / h) is kept in a step; h is a tenth of the examples so far,
    # at most 0.3: h = 0.2 after 2 of them, 0.3 after 4.
    kept = 0.5 ** (2 / 0.2), 0.5 ** (2 / 0.3)
    for average, a, b, c in zip(trainer.average.parameters(), first, second, third, strict=True):
        after_one = kept[0] * a + (1.0 - kept[0]) * b
        torch.testing.assert_close(average, kept[1] * after_one + (1.0 - kept[1]) * c, rtol=0, atol=2e-7)


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
