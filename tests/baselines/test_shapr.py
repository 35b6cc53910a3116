from __future__ import annotations

import dataclasses
import json
import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dispr_cli.baselines.shapr.loss import dice_loss, overlap_loss
from dispr_cli.baselines.shapr.method import ShaprMethod, load_shapr
from dispr_cli.baselines.shapr.network import Discriminator, ShapeNetwork
from dispr_cli.baselines.shapr.settings import ShaprConfig
from dispr_cli.baselines.shapr.training import ShaprTrainer, planes_of, train_shapr
from dispr_cli.diffusion.dataset import TrainingCells, pack_cell
from dispr_cli.diffusion.held_out_metrics import HeldOut
from dispr_cli.diffusion.resumable_run import TrainingEvents
from dispr_cli.diffusion.training_state import Origin
from dispr_cli.errors import ConfigError, WeightsError
from dispr_cli.inputs.cell import Cell

PARITY = Path(__file__).resolve().parents[3] / "shared" / "data" / "parity"
CPU = torch.device("cpu")
ORIGIN = Origin("cells")

needs_parity = pytest.mark.skipif(not PARITY.is_dir(), reason="../shared/data/parity is not here")


def with_synthetic_weights(network: nn.Module, keys: dict[str, list[int]]) -> nn.Module:
    state = network.state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == keys
    for name, tensor in state.items():
        if "running_" in name or "num_batches_tracked" in name:
            continue
        drawn = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tensor.shape)
        values = drawn.astype(np.float32) * 0.05
        state[name] = torch.from_numpy(
            values + 1.0 if tensor.ndim == 1 and name.endswith("weight") else values
        )
    network.load_state_dict(state)
    return network.eval()


@needs_parity
def test_both_networks_agree_with_the_public_code() -> None:
    keys = json.loads((PARITY / "shapr_keys.json").read_text())
    outputs = np.load(PARITY / "shapr.npz")
    generator = with_synthetic_weights(ShapeNetwork(), keys["generator"])
    discriminator = with_synthetic_weights(Discriminator(), keys["discriminator"])
    with torch.inference_mode():
        shape = generator(torch.from_numpy(outputs["generator_in"])).numpy()[..., ::4, ::4, ::4]
        verdict = discriminator(torch.from_numpy(outputs["discriminator_in"].astype(np.float32))).numpy()
    np.testing.assert_allclose(shape, outputs["generator_out"], rtol=1e-5)
    np.testing.assert_allclose(verdict, outputs["discriminator_out"], rtol=1e-5)


def test_the_joined_last_convolution_equals_the_two_it_stands_for() -> None:
    torch.manual_seed(0)
    network = ShapeNetwork().double()
    x = torch.randn(2, 10, 3, 4, 5, dtype=torch.float64)
    expected = network.decout.dec_out(network.up9(x))
    torch.testing.assert_close(network.decout(x, network.up9), expected, rtol=1e-10, atol=1e-12)


def test_losses_of_right_and_wrong_predictions() -> None:
    true = torch.zeros(2, 1, 4, 4, 4)
    true[:, :, 1:3] = 1.0
    assert dice_loss(true, true) == pytest.approx(0.0, abs=1e-6)
    # No overlap: 1 - 1 / (32 + 32 + 1).
    assert dice_loss(1.0 - true, true) == pytest.approx(1.0 - 1.0 / 65.0)
    right, wrong = (sign * 20.0 * (2.0 * true - 1.0) for sign in (1.0, -1.0))
    assert overlap_loss(right, true) < 1e-6 < 5.0 < overlap_loss(wrong, true)


def ball_cells(count: int = 4) -> TrainingCells:
    packed = []
    for radius in np.linspace(12.0, 18.0, count):
        z, y, x = np.indices((64, 64, 64)) - 31.5
        occupancy = np.clip(radius - np.sqrt(x**2 + y**2 + z**2) + 0.5, 0, 1) * 255.0
        mask = occupancy[32] > 127.5
        packed.append(pack_cell(mask.astype(np.float32), mask, occupancy.astype(np.uint8)))
    distance, outline, image = (np.stack(arrays) for arrays in zip(*packed, strict=True))
    return TrainingCells(tuple(f"ball{i}" for i in range(count)), distance, outline, image)


SHORT = ShaprConfig(num_examples=8, batch_size=2)


def test_training_learns_and_resumes_to_the_same_weights(tmp_path: Path) -> None:
    cells = ball_cells()
    losses: list[float] = []
    config = dataclasses.replace(SHORT, num_examples=40, learning_rate=1e-2)
    assert train_shapr(
        cells,
        tmp_path / "a.safetensors",
        config,
        device=CPU,
        events=TrainingEvents(lambda progress: losses.append(progress.loss)),
    )
    assert np.mean(losses[-3:]) < 0.95 * np.mean(losses[:3])
    whole = ShaprTrainer(cells, SHORT, CPU)
    whole.run(lambda progress: None)
    first = ShaprTrainer(cells, SHORT, CPU)
    for _ in range(2):
        first._take_step()
    first.save(tmp_path / "state.safetensors", ORIGIN)
    second = ShaprTrainer(cells, SHORT, CPU)
    second.resume(tmp_path / "state.safetensors", ORIGIN)
    second.network.train()
    second.run(lambda progress: None)
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(second.network.state_dict()[name], value, rtol=0, atol=0)
    with pytest.raises(WeightsError, match="other settings"):
        ShaprTrainer(cells, config, CPU).resume(tmp_path / "state.safetensors", ORIGIN)
    with pytest.raises(WeightsError, match="other cells to learn from"):
        ShaprTrainer(cells, SHORT, CPU).resume(tmp_path / "state.safetensors", Origin("others"))


def test_augmentation_is_not_the_same_at_every_step() -> None:
    trainer = ShaprTrainer(ball_cells(1), SHORT, CPU)
    seen: list[torch.Tensor] = []
    trainer.network.register_forward_hook(lambda *_: None)
    keep = trainer.network.logits

    def record(planes: torch.Tensor) -> torch.Tensor:
        seen.append(planes)
        return keep(planes)

    trainer.network.logits = record  # type: ignore[method-assign]
    trainer.run(lambda progress: None)
    assert not any(torch.equal(seen[0], later) for later in seen[1:])


def test_the_adversarial_phase_teaches_both_networks() -> None:
    config = dataclasses.replace(SHORT, num_examples=2, adversarial_examples=2)
    trainer = ShaprTrainer(ball_cells(), config, CPU)
    before = {name: value.clone() for name, value in trainer.discriminator.named_parameters()}
    trainer.network.train()
    trainer._take_step()
    after_first = dict(trainer.discriminator.named_parameters())
    assert all(torch.equal(before[name], value) for name, value in after_first.items())
    trainer._take_step()
    assert not all(torch.equal(before[name], value) for name, value in after_first.items())
    assert trainer.step == trainer.num_steps == 2


def ball(radius: float) -> Cell:
    y, x = np.indices((64, 64)) - 31.5
    mask = np.hypot(y, x) < radius
    return Cell(
        "ball", mask.astype(np.float32), mask, None, Path("ball.tif"), None, (0, 0, 64, 64), False, None
    )


def test_method_gives_one_shape_whatever_the_seed_and_company(tmp_path: Path) -> None:
    metrics: list[HeldOut] = []
    events = TrainingEvents(held_out=lambda progress, found: metrics.append(found))
    cells = ball_cells()
    kept = cells.select(np.array([3]))
    learned = cells.select(np.arange(3))
    train_shapr(learned, tmp_path / "w.safetensors", SHORT, device=CPU, held_out=kept, events=events)
    assert metrics
    assert 0.0 <= metrics[-1].iou <= 1.0
    weights = load_shapr(tmp_path / "w.safetensors")
    assert weights.provenance["held_out"] == ["ball3"]
    method = ShaprMethod(weights, CPU)
    balls = [ball(r) for r in (10.0, 12.0, 14.0, 16.0, 18.0)]
    together = method.reconstruct(balls, 2, seed=0)
    assert together.shape == (5, 2, 64, 64, 64)
    assert together.dtype == np.uint8
    np.testing.assert_array_equal(together[:, 0], together[:, 1])
    np.testing.assert_array_equal(method.reconstruct(balls[3:4], 1, seed=9)[0, 0], together[3, 0])
    # The output is the network's own probability, not a rescaled one.
    planes = planes_of(torch.from_numpy(balls[4].image)[None], torch.from_numpy(balls[4].mask)[None])
    with torch.inference_mode():
        expected = weights.network(planes)[0, 0].numpy() * 255.0
    assert np.abs(together[4, 0] - expected).max() <= 0.51


def test_public_checkpoints_load_without_running_code(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = ShapeNetwork()
    state = {f"shapr.{name}": value for name, value in network.state_dict().items()}
    state |= {f"discriminator.{name}": value for name, value in Discriminator().state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "lightning.ckpt")
    loaded = load_shapr(tmp_path / "lightning.ckpt").network
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


class Attack:
    """A pickle that would create a file if it were loaded carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.path,)  # type: ignore[return-value]


@pytest.mark.parametrize("content", ["attack", "text", "empty", "other network", "missing"])
def test_bad_checkpoints_are_refused_in_one_sentence(tmp_path: Path, content: str) -> None:
    path, trap = tmp_path / "w.pt", tmp_path / "trap"
    if content == "attack":
        path.write_bytes(pickle.dumps(Attack(trap)))
    elif content == "text":
        path.write_text("not a checkpoint")
    elif content == "empty":
        path.write_bytes(b"")
    elif content == "other network":
        torch.save({"conv1.weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match=r"w\.pt: "):
        load_shapr(path)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_examples", 0), ("learning_rate", -1.0), ("topology_dimension", 3), ("topology_resolution", 2)],
)
def test_impossible_settings_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        ShaprConfig(**{name: value})  # type: ignore[arg-type]
