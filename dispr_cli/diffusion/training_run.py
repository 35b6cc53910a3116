"""One training run from start to weights: resumes, checkpoints, held-out metrics."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dispr_cli.config import DenoiserConfig, TrainingConfig
from dispr_cli.diffusion.checkpoint import save_denoiser
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.denoiser import VolumeDenoiser
from dispr_cli.diffusion.processes import ALONE, Processes
from dispr_cli.diffusion.representation import to_field
from dispr_cli.diffusion.sampler import sample_ddim
from dispr_cli.diffusion.schedule import log_sigmas
from dispr_cli.diffusion.training import Progress, Trainer
from dispr_cli.errors import DisprError

VALIDATIONS = 10
"""Held-out metrics are taken so many times in a run."""

VALIDATION_STEPS = 4
VALIDATION_CELLS = 16


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How the running average does on cells it is not trained on (means over cells).

    Attributes
    ----------
    iou
        Of one sample with the truth.
    volume_error
        |V - V_true| / V_true of one sample.
    sample_iou
        Overlap of two samples of a cell with each other: the closer to 1, the less they differ.
    """

    iou: float
    volume_error: float
    sample_iou: float


@dataclass(frozen=True)
class TrainingEvents:
    """Who is told what; `resumed` takes the examples that an earlier run has learned from."""

    progress: Callable[[Progress], None] = lambda progress: None
    held_out: Callable[[Progress, HeldOut], None] = lambda progress, metrics: None
    saved: Callable[[Path], None] = lambda path: None
    average: Callable[[Progress, VolumeDenoiser], None] = lambda progress, average: None
    resumed: Callable[[int], None] = lambda examples: None


def train_denoiser(
    cells: TrainingCells,
    out: Path,
    config: TrainingConfig,
    denoiser_config: DenoiserConfig,
    *,
    device: torch.device,
    autocast: bool = False,
    held_out: TrainingCells | None = None,
    start_from: VolumeDenoiser | None = None,
    odds: NDArray[np.floating] | None = None,
    provenance: dict[str, Any] | None = None,
    events: TrainingEvents | None = None,
    until: float = float("inf"),
    processes: Processes = ALONE,
) -> bool:
    """Train a denoiser and write its weights; go on where an earlier run stopped.

    Parameters
    ----------
    cells
        What is trained on.
    out
        File of the weights; the state of an unfinished run lies beside it.
    held_out
        Cells for the metrics; never trained on.
    start_from
        Weights to begin with.
    odds
        (len(cells),) relative odds of each cell to be drawn; equal if None.
    provenance
        Written into the file, beside what this function knows.
    until
        Value of ``time.monotonic()`` at which to stop and save.
    processes
        Who shares every batch; the first of them speaks and writes.

    Returns
    -------
    Whether the training is complete.
    """
    events = events or TrainingEvents()
    state = state_file(out)
    trainer = Trainer(cells, config, denoiser_config, device, autocast, odds, processes)
    if state.exists():
        trainer.resume(state)
        if processes.is_first:
            events.resumed(trainer.step * config.batch_size)
    elif start_from is not None:
        trainer.start_from(start_from)
    facts = {
        **(provenance or {}),
        "cells": len(cells),
        "held_out": [] if held_out is None else list(held_out.names),
        "training": dataclasses.asdict(config),
    }
    saved_at, validated = (
        time.monotonic(),
        validations_due(trainer.step * config.batch_size, config.num_examples),
    )

    def observe(progress: Progress, average: VolumeDenoiser) -> None:
        nonlocal saved_at, validated
        if not processes.is_first:
            return
        events.progress(progress)
        events.average(progress, average)
        due = validations_due(progress.examples, progress.total)
        if held_out is not None and due > validated:
            events.held_out(progress, validate(average, held_out, device))
        validated = due
        if time.monotonic() - saved_at > 60.0 * config.checkpoint_minutes:
            trainer.save(state)
            saved_at = time.monotonic()
            events.saved(state)

    try:
        complete = trainer.run(observe, until)
    except (KeyboardInterrupt, DisprError):
        # A lost process too leaves what the last whole step learned.
        if processes.is_first:
            trainer.save(state)
        raise
    if not processes.is_first:
        return complete
    if not complete:
        trainer.save(state)
        return False
    save_denoiser(out, trainer.average, facts)
    state.unlink(missing_ok=True)
    return True


def state_file(out: Path) -> Path:
    """Where the state of an unfinished run lies."""
    return out.with_name(f"{out.stem}.state.safetensors")


def validations_due(examples: int, total: int) -> int:
    """How many times held-out metrics should have been taken by now: :data:`VALIDATIONS` in a run."""
    return examples * VALIDATIONS // total


def is_due(progress: Progress, batch_size: int) -> bool:
    """Whether held-out metrics are to be taken after this step: :data:`VALIDATIONS` times in a run."""
    interval = max(1, progress.total // VALIDATIONS)
    return progress.examples // interval != (progress.examples - batch_size) // interval


def validate(denoiser: VolumeDenoiser, held_out: TrainingCells, device: torch.device) -> HeldOut:
    """Sample held-out cells twice each and compare with the truth."""
    count = min(len(held_out), VALIDATION_CELLS)
    index = np.linspace(0, len(held_out) - 1, count).astype(np.int64)
    examples = held_out.examples(index, device)
    clip = denoiser.config.clip_distance
    truth = to_field(examples.distance, clip) > 0
    sigmas = log_sigmas(VALIDATION_STEPS, denoiser.config.sigma_min, denoiser.config.sigma_max)
    drawn = []
    with torch.inference_mode():
        condition = denoiser.encode(examples.image, examples.outline)
        for draw in range(2):
            generator = torch.Generator().manual_seed(draw)
            noise = torch.randn(truth.shape, generator=generator).to(device)

            def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
                return denoiser.denoise(x, sigma, condition)

            drawn.append(sample_ddim(denoise, noise * float(sigmas[0]), sigmas, noise.clone) > 0)
    volume, true_volume = _voxels(drawn[0]), _voxels(truth)
    return HeldOut(
        float(_iou(drawn[0], truth).mean()),
        float(((volume - true_volume).abs() / true_volume).mean()),
        float(_iou(drawn[0], drawn[1]).mean()),
    )


def _voxels(inside: torch.Tensor) -> torch.Tensor:
    return inside.sum((1, 2, 3, 4)).double()


def _iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return _voxels(a & b) / _voxels(a | b).clamp_min(1.0)
