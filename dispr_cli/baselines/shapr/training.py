"""Training of SHAPR: truly random augmentation, an optional adversarial phase; resumable."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from dispr_cli.baselines.shapr.loss import overlap_loss
from dispr_cli.baselines.shapr.network import Discriminator, ShapeNetwork
from dispr_cli.baselines.shapr.settings import ShaprConfig
from dispr_cli.baselines.shapr.topology import topological_loss
from dispr_cli.diffusion.augmentation import Randomness, augment
from dispr_cli.diffusion.checkpoint import write_tensors
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.held_out_metrics import HeldOut, measured
from dispr_cli.diffusion.resumable_run import Progress, ResumableRun, Start, TrainingEvents
from dispr_cli.diffusion.training_state import Origin, TrainingState

FORMAT = "dispr-shapr/1"
STATE_FORMAT = "dispr-shapr-training/1"

SUPERVISED_SHARE = 10.0 / 11.0
"""Weight of the supervised loss beside the adversarial one (published: 10 to 1)."""


def planes_of(image: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Network input of (N, 64, 64) images and masks: (N, 2, 1, 64, 64)."""
    mask = inside.to(image.dtype)
    return torch.stack([mask, mask * image], 1)[:, :, None]


class ShaprTrainer:
    """SHAPR's networks and their optimisers; ``autocast`` computes the generator in bfloat16."""

    def __init__(
        self, cells: TrainingCells, config: ShaprConfig, device: torch.device, autocast: bool = False
    ) -> None:
        self.cells, self.config, self.device, self.autocast = cells, config, device, autocast
        torch.manual_seed(config.seed)
        layout = {"memory_format": torch.channels_last_3d}
        self.network = ShapeNetwork().to(device, **layout)  # type: ignore[call-overload]
        self.discriminator = Discriminator().to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        self.judge = torch.optim.Adam(self.discriminator.parameters(), lr=config.discriminator_rate)
        self.step = 0

    @property
    def num_supervised(self) -> int:
        """Steps of the first phase."""
        return -(-self.config.num_examples // self.config.batch_size)

    @property
    def num_steps(self) -> int:
        """Steps of both phases."""
        return self.num_supervised + -(-self.config.adversarial_examples // self.config.batch_size)

    def run(self, observer: Callable[[Progress], None], until: float = float("inf")) -> bool:
        """Train to the end or until ``time.monotonic()`` passes ``until``; returns whether it is complete."""
        started = time.monotonic()
        self.network.train()
        while self.step < self.num_steps:
            if time.monotonic() > until:
                return False
            loss = self._take_step()
            batch = self.config.batch_size
            total = self.num_steps * batch
            observer(Progress(self.step * batch, total, loss, time.monotonic() - started))
        return True

    def _take_step(self) -> float:
        random = Randomness.of_step(self.config.seed, self.step, self.device)
        adversarial = self.step >= self.num_supervised
        self._set_learning_rate()
        n = self.config.batch_size
        chosen = torch.randint(len(self.cells), (n,), generator=random.few).numpy()
        augmented = augment(self.cells.examples(chosen, self.device), self.config.augmentation, random)
        true = (augmented.distance + 0.5).clamp(0.0, 1.0)
        planes = planes_of(augmented.image, augmented.outline > 0)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            logits = self.network.logits(planes)
        logits = logits.float()
        loss = self._supervised(logits, true)
        if adversarial:
            verdict = self.discriminator(torch.sigmoid(logits))
            deceived = F.binary_cross_entropy(verdict, torch.ones_like(verdict))
            loss = SUPERVISED_SHARE * loss + (1.0 - SUPERVISED_SHARE) * deceived
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        if adversarial:
            self._teach_discriminator(torch.sigmoid(logits.detach()), true)
        self.step += 1
        return float(loss.detach())

    def _supervised(self, logits: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
        loss = overlap_loss(logits, true)
        config = self.config
        if config.topology_weight == 0.0:
            return loss
        shape = (config.topology_resolution, config.topology_dimension, config.topology_order)
        return loss + config.topology_weight * topological_loss(torch.sigmoid(logits), true, *shape)

    def _teach_discriminator(self, predicted: torch.Tensor, true: torch.Tensor) -> None:
        verdicts = self.discriminator(true), self.discriminator(predicted)
        loss = F.binary_cross_entropy(verdicts[0], torch.ones_like(verdicts[0]))
        loss = 0.5 * (loss + F.binary_cross_entropy(verdicts[1], torch.zeros_like(verdicts[1])))
        self.judge.zero_grad(set_to_none=True)
        loss.backward()
        self.judge.step()

    def _set_learning_rate(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * 0.5 * (1.0 + np.cos(np.pi * self.step / self.num_steps))

    @property
    def average(self) -> ShapeNetwork:
        """The network itself: SHAPR keeps no running average."""
        return self.network

    def start_from(self, network: ShapeNetwork) -> None:
        """Begin with the weights of another network."""
        self.network.load_state_dict(network.state_dict())

    def validate(self, network: ShapeNetwork, held_out: TrainingCells) -> HeldOut:
        """Take the metrics of a network on held-out cells."""
        return validate(network, held_out, self.device)

    def write(self, path: Path, facts: dict[str, Any]) -> None:
        """Write the network, with what its file is to say of it."""
        write_tensors(path, dict(self.network.state_dict()), {"format": FORMAT, "provenance": facts})

    def save(self, path: Path, origin: Origin) -> None:
        """Write everything that is needed to go on."""
        self._state(origin).save(path, self.step)

    def resume(self, path: Path, origin: Origin) -> None:
        """Go on from what :meth:`save` wrote.

        Raises
        ------
        WeightsError
            If the file is damaged or belongs to a training with other settings, cells or start.
        """
        self.step = self._state(origin).resume(path)

    def _state(self, origin: Origin) -> TrainingState:
        run = {"training": dataclasses.asdict(self.config), **origin.as_json()}
        networks = {"network": self.network, "discriminator": self.discriminator}
        optimizers = {"optimizer": self.optimizer, "judge": self.judge}
        return TrainingState(STATE_FORMAT, networks, optimizers, run)


def train_shapr(
    cells: TrainingCells,
    out: Path,
    config: ShaprConfig,
    *,
    device: torch.device,
    autocast: bool = False,
    held_out: TrainingCells | None = None,
    start: Start[ShapeNetwork] | None = None,
    provenance: dict[str, Any] | None = None,
    events: TrainingEvents | None = None,
    until: float = float("inf"),
) -> bool:
    """Train SHAPR (with a topology weight: SHAPR + topological loss) and write its weights.

    Parameters
    ----------
    cells
        What is trained on.
    out
        File of the weights; the state of an unfinished run lies beside it and is gone on from.
    autocast
        Compute in bfloat16 where that is safe.
    held_out
        Cells for the metrics, never trained on; the file records their names.
    start
        Weights to begin with; random ones if None.
    events
        Who is told how it goes.
    until
        Value of ``time.monotonic()`` at which to stop and save.

    Returns
    -------
    Whether the training is complete.
    """
    trainer = ShaprTrainer(cells, config, device, autocast)
    if start is not None:
        start.network.to(device)
    run = ResumableRun(
        trainer, out, cells, held_out=held_out, start=start, provenance=provenance, events=events
    )
    return run.run(until)


def validate(network: ShapeNetwork, held_out: TrainingCells, device: torch.device) -> HeldOut:
    """Predict held-out cells and compare with the truth; the one answer for each equals itself."""
    examples = held_out.examples(np.arange(len(held_out)), device)
    network.eval()
    with torch.inference_mode():
        planes = planes_of(examples.image, examples.outline > 0).split(4)
        found = torch.cat([network.logits(part) > 0 for part in planes])
    network.train()
    return measured(examples.distance > 0, found)
