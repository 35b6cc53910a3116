"""Training of the published network: hybrid loss, AdamW at a constant rate, running average; resumable.

Every step's randomness comes from (seed, step), so a training that was interrupted goes on
as if it had not been.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dispr_cli.baselines.dispr2022.diffusion import Diffusion, make_schedule
from dispr_cli.baselines.dispr2022.sampling import draw_volumes, tile_condition
from dispr_cli.baselines.dispr2022.settings import Dispr2022Config, NetworkConfig
from dispr_cli.baselines.dispr2022.unet import PublishedNetwork
from dispr_cli.baselines.dispr2022.weights import save_dispr2022
from dispr_cli.config import SamplerConfig, TrainingConfig
from dispr_cli.diffusion.augmentation import Examples, Randomness, augment
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.held_out_metrics import HeldOut, measured
from dispr_cli.diffusion.resumable_run import Progress, ResumableRun, Start, TrainingEvents
from dispr_cli.diffusion.training_state import Origin, TrainingState

STATE_FORMAT = "dispr-dispr2022-training/1"

VALIDATION_SAMPLER = SamplerConfig("ddim", 10)
VALIDATION_CELLS = {"cpu": 2, "mps": 2, "cuda": 8}
"""Held-out cells that are sampled for the printed metrics, by device: on a CPU each takes minutes."""


class Dispr2022Trainer:
    """The published network, its running average and its optimiser."""

    def __init__(
        self,
        cells: TrainingCells,
        config: Dispr2022Config,
        device: torch.device,
        autocast: bool = False,
        network: NetworkConfig | None = None,
    ) -> None:
        self.cells, self.config, self.device, self.autocast = cells, config, device, autocast
        torch.manual_seed(config.seed)
        layout = {"memory_format": torch.channels_last_3d}
        self.network = PublishedNetwork(network).to(device, **layout)  # type: ignore[call-overload]
        self.average = PublishedNetwork(network).to(device, **layout).requires_grad_(False)  # type: ignore[call-overload]
        self.average.load_state_dict(self.network.state_dict())
        self.diffusion = Diffusion(make_schedule(), device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.step = 0

    @property
    def num_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return -(-self.config.num_examples // self.config.batch_size)

    def run(self, observer: Callable[[Progress], None], until: float = float("inf")) -> bool:
        """Train to the end or until ``time.monotonic()`` passes ``until``; returns whether it is complete."""
        started = time.monotonic()
        while self.step < self.num_steps:
            if time.monotonic() > until:
                return False
            loss = self._take_step()
            examples = self.step * self.config.batch_size
            observer(Progress(examples, self.config.num_examples, loss, time.monotonic() - started))
        return True

    def _take_step(self) -> float:
        loss = self._loss(Randomness.of_step(self.config.seed, self.step, self.device))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
            for average, current in pairs:
                average.lerp_(current, 1.0 - self.config.ema_rate)
        return float(loss.detach())

    def _loss(self, random: Randomness) -> torch.Tensor:
        n = self.config.batch_size
        chosen = torch.randint(len(self.cells), (n,), generator=random.few).numpy()
        examples = self._augment(self.cells.examples(chosen, self.device), random)
        x0 = (examples.distance + 0.5).clamp(0.0, 1.0)
        step = torch.randint(len(self.diffusion.schedule), (n,), generator=random.few).to(self.device)
        noise = random.field(x0.shape)
        x = self.diffusion.diffuse(x0, step, noise)
        condition = tile_condition(examples.image, examples.outline > 0)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            output = self.network(torch.cat([condition, x], 1), self.diffusion.timesteps[step])
        return self.diffusion.loss(output, x0, x, step, noise).total.mean()

    def _augment(self, examples: Examples, random: Randomness) -> Examples:
        if self.config.augmentation == "none":
            return examples
        return augment(examples, TrainingConfig(), random)

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

    def start_from(self, network: PublishedNetwork) -> None:
        """Begin with the weights of another network."""
        self.network.load_state_dict(network.state_dict())
        self.average.load_state_dict(network.state_dict())

    def validate(self, network: PublishedNetwork, held_out: TrainingCells) -> HeldOut:
        """Take the metrics of a network on held-out cells."""
        return validate(network, held_out, self.device)

    def write(self, path: Path, facts: dict[str, Any]) -> None:
        """Write the running average, with what its file is to say of it."""
        save_dispr2022(path, self.average, facts)

    def _state(self, origin: Origin) -> TrainingState:
        run = {
            "training": dataclasses.asdict(self.config),
            "network": dataclasses.asdict(self.network.config),
            **origin.as_json(),
        }
        networks = {"network": self.network, "average": self.average}
        return TrainingState(STATE_FORMAT, networks, {"optimizer": self.optimizer}, run)


def train_dispr2022(
    cells: TrainingCells,
    out: Path,
    config: Dispr2022Config,
    *,
    device: torch.device,
    autocast: bool = False,
    network: NetworkConfig | None = None,
    held_out: TrainingCells | None = None,
    start: Start[PublishedNetwork] | None = None,
    provenance: dict[str, Any] | None = None,
    events: TrainingEvents | None = None,
    until: float = float("inf"),
) -> bool:
    """Train the published network and write its running average.

    Parameters
    ----------
    cells
        What is trained on.
    out
        Safetensors file of the weights; the state of an unfinished run lies beside it and is gone on from.
    autocast
        Compute in bfloat16 where that is safe.
    network
        Shape of the network; the published one if None.
    held_out
        Cells for the metrics, never trained on; the file records their names.
    start
        Weights to begin with, such as a public checkpoint's; random ones if None.
    provenance
        Written into the file, beside what this function knows.
    events
        Who is told how it goes.
    until
        Value of ``time.monotonic()`` at which to stop and save.

    Returns
    -------
    Whether the training is complete.
    """
    trainer = Dispr2022Trainer(
        cells, config, device, autocast, start.network.config if start is not None else network
    )
    if start is not None:
        start.network.to(device)
    run = ResumableRun(
        trainer, out, cells, held_out=held_out, start=start, provenance=provenance, events=events
    )
    return run.run(until)


def validate(network: PublishedNetwork, held_out: TrainingCells, device: torch.device) -> HeldOut:
    """Sample a few held-out cells twice each, in few steps, and compare with the truth."""
    count = min(len(held_out), VALIDATION_CELLS[device.type])
    index = np.linspace(0, len(held_out) - 1, count).astype(np.int64)
    examples = held_out.examples(index, device)
    condition = tile_condition(examples.image, examples.outline > 0)
    diffusion = Diffusion(make_schedule(VALIDATION_SAMPLER.num_steps), device)
    generator = torch.Generator().manual_seed(0)

    def noise() -> torch.Tensor:
        return torch.randn(examples.distance.shape, generator=generator).to(device)

    with torch.inference_mode():
        first, second = (
            draw_volumes(network, condition, diffusion, noise, VALIDATION_SAMPLER) > 0.5 for _ in range(2)
        )
    return measured(examples.distance > 0, first, second)
