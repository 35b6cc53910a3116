"""Training of the denoiser: one loop, the same on CPU and GPU, resumable to the same numbers.

Every step's randomness comes from (seed, step), so a training that was
interrupted goes on as if it had not been.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dispr_cli.config import DenoiserConfig, TrainingConfig
from dispr_cli.diffusion.augmentation import Randomness, augment, drop_features
from dispr_cli.diffusion.checkpoint import save_denoiser
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.denoiser import VolumeDenoiser
from dispr_cli.diffusion.energy_score import first_step_loss
from dispr_cli.diffusion.field_area import area_loss
from dispr_cli.diffusion.held_out_metrics import HeldOut
from dispr_cli.diffusion.processes import ALONE, Processes
from dispr_cli.diffusion.representation import to_field
from dispr_cli.diffusion.resumable_run import Progress
from dispr_cli.diffusion.schedule import flow_time
from dispr_cli.diffusion.training_state import Origin, TrainingState
from dispr_cli.diffusion.validation import validate
from dispr_cli.errors import ConfigError, WeightsError

MOST_WEIGHT = 10.0
"""Bound on the loss weight of low noise levels, where little is left to learn."""

REPORT_EVERY = 20
"""Steps between two reports of a training on a GPU."""

STATE_FORMAT = "dispr-training/1"


class Trainer:
    """A denoiser, its running average and its optimiser.

    Parameters
    ----------
    cells
        What is trained on.
    odds
        (len(cells),) relative odds of each cell to be drawn; equal if None.
    processes
        Who shares every batch; all are given the same.
    """

    def __init__(
        self,
        cells: TrainingCells,
        config: TrainingConfig,
        denoiser_config: DenoiserConfig,
        device: torch.device,
        autocast: bool = False,
        odds: NDArray[np.floating] | None = None,
        processes: Processes = ALONE,
    ) -> None:
        if config.batch_size % processes.count:
            raise ConfigError(
                f"a batch of {config.batch_size} cannot be shared evenly by {processes.count} processes: "
                "give a --batch-size that can"
            )
        self.processes = processes
        self.odds = torch.ones(len(cells)) if odds is None else torch.from_numpy(odds).float()
        self.odds_digest = None if odds is None else hashlib.sha256(odds.tobytes()).hexdigest()
        self.resident = cells.resident(device)
        self.config, self.device, self.autocast = config, device, autocast
        # Shapes stay the same, so it pays to let cuDNN try its kernels.
        torch.backends.cudnn.benchmark = True
        torch.manual_seed(config.seed)
        self.denoiser = VolumeDenoiser(denoiser_config).place(device)
        self.average = VolumeDenoiser(denoiser_config).place(device).requires_grad_(False)
        self.average.load_state_dict(self.denoiser.state_dict())
        self.optimizer = torch.optim.AdamW(
            self.denoiser.parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
            fused=device.type == "cuda",
        )
        self.step = 0

    @property
    def num_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return -(-self.config.num_examples // self.config.batch_size)

    def start_from(self, network: VolumeDenoiser) -> None:
        """Begin with another denoiser's weights (fine-tuning).

        Raises
        ------
        WeightsError
            If that network has another shape.
        """
        if network.config.channels != self.denoiser.config.channels:
            raise WeightsError("the weights to start from belong to a network of another shape")
        self.denoiser.load_state_dict(network.state_dict())
        self.average.load_state_dict(network.state_dict())

    def run(self, observer: Callable[[Progress], None], until: float = float("inf")) -> bool:
        """Train to the end, or until ``time.monotonic()`` passes ``until``.

        Returns
        -------
        Whether the training is complete.
        """
        started = time.monotonic()
        while self.step < self.num_steps:
            if until < float("inf") and self.processes.any(time.monotonic() > until, self.device):
                return False
            loss = self._take_step()
            # Reading a loss waits for the device, which should rather have the next steps queued.
            if self.device.type != "cuda" or self.step % REPORT_EVERY == 0 or self.step == self.num_steps:
                examples = self.step * self.config.batch_size
                spent = time.monotonic() - started
                observer(Progress(examples, self.config.num_examples, float(loss), spent))
        return True

    def _take_step(self) -> torch.Tensor:
        random = Randomness.of_step(self.config.seed, self.step, self.device, self.processes)
        self._set_learning_rate()
        loss = self._loss(random)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        loss = loss.detach()
        gradients = [p.grad for p in self.denoiser.parameters() if p.grad is not None]
        self.processes.average([*gradients, loss])
        torch.nn.utils.clip_grad_norm_(self.denoiser.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self._update_average()
        return loss

    def _loss(self, random: Randomness) -> torch.Tensor:
        n = self.config.batch_size // self.processes.count
        chosen = random.choose(self.odds, n)
        examples = augment(self.resident.examples(chosen, self.device), self.config, random)
        shape = self.denoiser.config
        target = to_field(examples.distance, shape.clip_distance)
        first, later, levels = self._share_out(random.quantiles(n))
        sigma = levels.to(self.device)
        # Noise for the whole batch, whichever examples use it: the same however many processes share it.
        noise, more = random.field(target.shape), random.field(target.shape)
        noisy = target[later] + sigma.view(-1, 1, 1, 1, 1) * noise[later]
        started = shape.sigma_max * torch.cat([noise[first], more[first]])
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            condition = self.denoiser.encode(examples.image, examples.outline)
            condition = drop_features(condition, self.config.dropout, random)
            estimates = self.denoiser(
                torch.cat([noisy, started]),
                torch.cat([sigma, sigma.new_full((2 * len(first),), shape.sigma_max)]),
                condition.select(torch.cat([later, first, first])),
            )
        mean, one, other = estimates.split([len(later), len(first), len(first)])
        of_means = self._loss_of_means(mean, target[later], levels)
        of_samples = first_step_loss(one, other, target[first], shape.clip_distance).sum()
        return (of_means + of_samples) / n

    def _share_out(self, quantile: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Examples of the first step, those of later ones, and the noise levels of these, on the CPU.

        Antithetic: the quantiles are spread over the batch instead of drawn independently; the uppermost are
        those of the first step.
        """
        shape, quantile = self.denoiser.config, quantile / (1.0 - self.config.score_share)
        first, later = (torch.nonzero(chosen)[:, 0] for chosen in (quantile >= 1.0, quantile < 1.0))
        normal = torch.special.ndtri(quantile[later].clamp(1e-4, 1 - 1e-4))
        levels = (shape.sigma_mean + shape.sigma_std * normal).exp().clamp_max(shape.sigma_max)
        return first.to(self.device), later.to(self.device), levels

    def _loss_of_means(
        self, estimate: torch.Tensor, target: torch.Tensor, levels: torch.Tensor
    ) -> torch.Tensor:
        """Squared errors of estimates at given noise levels, and of their areas, summed over examples."""
        # Velocity of the flow x_t = (1 - t) x0 + t n is (x_t - x0) / t: its squared error weighs 1 / t².
        weight = (1.0 / flow_time(levels.to(self.device)) ** 2).clamp_max(MOST_WEIGHT)
        loss = (weight * (estimate - target).square().mean((1, 2, 3, 4))).sum()
        area = area_loss(estimate, target, levels, self.denoiser.config.clip_distance)
        return loss + self.config.area_weight * area

    def _set_learning_rate(self) -> None:
        warm = min(1.0, (self.step + 1) / self.config.warmup)
        cosine = 0.5 * (1.0 + np.cos(np.pi * self.step / self.num_steps))
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * warm * cosine

    def _update_average(self) -> None:
        seen = self.step * self.config.batch_size
        half_life = min(self.config.ema_half_life, 0.1 * seen)
        keep = 0.5 ** (self.config.batch_size / half_life)
        with torch.no_grad():
            averages: list[torch.Tensor] = list(self.average.parameters())
            current: list[torch.Tensor] = list(self.denoiser.parameters())
            torch._foreach_lerp_(averages, current, 1.0 - keep)

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

    def validate(self, network: VolumeDenoiser, held_out: TrainingCells) -> HeldOut:
        """Take the metrics of a denoiser on held-out cells."""
        return validate(network, held_out, self.device)

    def write(self, path: Path, facts: dict[str, Any]) -> None:
        """Write the running average, with what its file is to say of it."""
        save_denoiser(path, self.average, facts)

    def _state(self, origin: Origin) -> TrainingState:
        run = {
            "training": dataclasses.asdict(self.config),
            "denoiser": dataclasses.asdict(self.denoiser.config),
            "odds": self.odds_digest,
            **origin.as_json(),
        }
        networks = {"denoiser": self.denoiser, "average": self.average}
        return TrainingState(STATE_FORMAT, networks, {"optimizer": self.optimizer}, run)
