"""Training of the published network: it learns, and goes on after a stop as if nothing had happened."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from dispr_cli.baselines.dispr2022.settings import Dispr2022Config
from dispr_cli.baselines.dispr2022.training import Dispr2022Trainer, train_dispr2022
from dispr_cli.baselines.dispr2022.weights import load_dispr2022
from dispr_cli.diffusion.augmentation import Examples, Randomness
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.held_out_metrics import HeldOut
from dispr_cli.diffusion.known_cells import NOTHING
from dispr_cli.diffusion.resumable_run import Progress, Start, TrainingEvents, state_file
from dispr_cli.diffusion.training_state import Origin
from dispr_cli.errors import ConfigError, WeightsError
from tests.baselines.tiny2022 import SIDE, TINY, make_network

CPU = torch.device("cpu")
ORIGIN = Origin("cells")
SHORT = Dispr2022Config(num_examples=4, batch_size=2)


@pytest.fixture(scope="module")
def cells() -> TrainingCells:
    """Balls on the small grid."""
    radii = np.array([1.5, 2.5, 3.2])[:, None, None, None]
    z, y, x = np.indices((SIDE, SIDE, SIDE)) - np.array([4, 3.5, 3.5])[:, None, None, None]
    distance = np.clip(10 * (radii - np.sqrt(x**2 + y**2 + z**2)), -120, 120).astype(np.int8)
    outline = np.clip(10 * (radii[..., 0] - np.hypot(x, y)[0]), -120, 120).astype(np.int8)
    return TrainingCells(("a", "b", "c"), distance, outline, np.where(outline > 0, 200, 10).astype(np.uint8))


def weights_of(trainer: Dispr2022Trainer) -> list[torch.Tensor]:
    return [*trainer.network.parameters(), *trainer.average.parameters()]


def ignore(progress: Progress) -> None:
    pass


def test_loss_falls(cells: TrainingCells) -> None:
    config = dataclasses.replace(SHORT, num_examples=120, learning_rate=5e-3)
    losses: list[float] = []
    Dispr2022Trainer(cells, config, CPU, network=TINY).run(lambda p: losses.append(p.loss))
    assert np.mean(losses[-6:]) < 0.7 * np.mean(losses[:3])


def test_a_resumed_training_ends_in_the_same_weights(cells: TrainingCells, tmp_path: Path) -> None:
    whole = Dispr2022Trainer(cells, SHORT, CPU, network=TINY)
    whole.run(ignore)
    first = Dispr2022Trainer(cells, SHORT, CPU, network=TINY)
    first._take_step()
    first.save(tmp_path / "state.safetensors", ORIGIN)
    second = Dispr2022Trainer(cells, SHORT, CPU, network=TINY)
    second.resume(tmp_path / "state.safetensors", ORIGIN)
    assert second.step == 1
    second.run(ignore)
    assert all(torch.equal(a, b) for a, b in zip(weights_of(whole), weights_of(second), strict=True))


def test_another_trainings_state_is_refused(cells: TrainingCells, tmp_path: Path) -> None:
    Dispr2022Trainer(cells, SHORT, CPU, network=TINY).save(tmp_path / "state.safetensors", ORIGIN)
    other = dataclasses.replace(SHORT, learning_rate=1e-5)
    with pytest.raises(WeightsError, match="other settings"):
        Dispr2022Trainer(cells, other, CPU, network=TINY).resume(tmp_path / "state.safetensors", ORIGIN)
    with pytest.raises(WeightsError, match="other cells to learn from"):
        Dispr2022Trainer(cells, SHORT, CPU, network=TINY).resume(
            tmp_path / "state.safetensors", Origin("others")
        )


def test_the_average_follows_at_its_rate(cells: TrainingCells) -> None:
    trainer = Dispr2022Trainer(cells, dataclasses.replace(SHORT, ema_rate=0.75), CPU, network=TINY)
    before = [parameter.clone() for parameter in trainer.average.parameters()]
    trainer._take_step()
    for old, new, current in zip(
        before, trainer.average.parameters(), trainer.network.parameters(), strict=True
    ):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * current)


def test_augmentation_is_off_as_published_and_can_be_ours(cells: TrainingCells) -> None:
    index, rng = np.array([0]), np.random.default_rng(0)
    whole = Examples(
        torch.from_numpy(rng.standard_normal((1, 1, 64, 64, 64), np.float32)),
        torch.from_numpy(rng.standard_normal((1, 64, 64), np.float32)),
        torch.from_numpy(rng.random((1, 64, 64), np.float32)),
    )
    changed = {}
    for augmentation in ("none", "ours"):
        config = dataclasses.replace(SHORT, augmentation=augmentation)
        trainer = Dispr2022Trainer(cells.select(index), config, CPU, network=TINY)
        augmented = trainer._augment(whole, Randomness.of_step(0, 0, CPU))
        changed[augmentation] = (augmented.distance - whole.distance).abs().max()
    assert changed["none"] == 0.0
    assert changed["ours"] > 0.1


def test_a_run_stops_in_time_goes_on_and_leaves_weights(cells: TrainingCells, tmp_path: Path) -> None:
    out = tmp_path / "model.safetensors"
    held_out = cells.select(np.array([2]))
    seen: list[HeldOut] = []
    events = TrainingEvents(held_out=lambda progress, metrics: seen.append(metrics))
    options = {"device": CPU, "network": TINY, "held_out": held_out, "events": events}
    learned = cells.select(np.array([0, 1]))
    assert not train_dispr2022(learned, out, SHORT, **options, until=time.monotonic() - 1)
    assert state_file(out).exists()
    assert not out.exists()
    assert train_dispr2022(learned, out, SHORT, **options, provenance={"data": "balls"})
    assert not state_file(out).exists()
    weights = load_dispr2022(out)
    assert weights.provenance["held_out"] == ["c"]
    assert weights.provenance["data"] == "balls"
    assert weights.provenance["training"]["ema_rate"] == 0.9999
    assert seen
    assert all(0.0 <= metrics.iou <= 1.0 and 0.0 <= metrics.sample_iou <= 1.0 for metrics in seen)


def test_an_interrupted_run_leaves_its_state(cells: TrainingCells, tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "model.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train_dispr2022(
            cells, out, SHORT, device=CPU, network=TINY, events=TrainingEvents(progress=interrupt)
        )
    assert state_file(out).exists()


def test_training_can_start_from_other_weights(cells: TrainingCells, tmp_path: Path) -> None:
    out, start = tmp_path / "model.safetensors", make_network(seed=3)
    config = dataclasses.replace(SHORT, num_examples=1, learning_rate=1e-12)
    train_dispr2022(cells, out, config, device=CPU, start=Start(start, NOTHING))
    for found, given in zip(load_dispr2022(out).network.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(found, given)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("num_examples", 0),
        ("learning_rate", float("nan")),
        ("weight_decay", -1.0),
        ("ema_rate", 1.0),
        ("validation_fraction", 0.95),
        ("augmentation", "mine"),
        ("device", "abacus"),
    ],
)
def test_impossible_settings_are_told(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=setting):
        Dispr2022Config(**{setting: value})
