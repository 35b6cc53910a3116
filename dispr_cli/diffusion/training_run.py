"""One training run from start to weights: resumes, checkpoints, held-out metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dispr_cli.config import DenoiserConfig, TrainingConfig
from dispr_cli.diffusion.checkpoint import Checkpoint, save_denoiser
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.denoiser import VolumeDenoiser
from dispr_cli.diffusion.known_cells import known_cells
from dispr_cli.diffusion.processes import ALONE, Processes
from dispr_cli.diffusion.representation import to_field
from dispr_cli.diffusion.resumable_run import HeldOut, Start, TrainingEvents, run_resumably
from dispr_cli.diffusion.sampler import sample_ddim
from dispr_cli.diffusion.schedule import log_sigmas
from dispr_cli.diffusion.training import Trainer

VALIDATION_STEPS = 4
VALIDATION_CELLS = 16


def train_denoiser(
    cells: TrainingCells,
    out: Path,
    config: TrainingConfig,
    denoiser_config: DenoiserConfig,
    *,
    device: torch.device,
    autocast: bool = False,
    held_out: TrainingCells | None = None,
    start: Start | None = None,
    odds: NDArray[np.floating] | None = None,
    provenance: dict[str, Any] | None = None,
    events: TrainingEvents | None = None,
    finish: Callable[[TrainingCells | None], object] = lambda held_out: None,
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
    start
        Weights to begin with, from :func:`start_of`; random ones if None.
    odds
        (len(cells),) relative odds of each cell to be drawn; equal if None.
    provenance
        Written into the file, beside what this function knows.
    finish
        Called when the weights are written, with the cells that they never saw, see :func:`run_resumably`.
    until
        Value of ``time.monotonic()`` at which to stop and save.
    processes
        Who shares every batch; the first of them speaks and writes.

    Returns
    -------
    Whether the training is complete.
    """
    trainer = Trainer(cells, config, denoiser_config, device, autocast, odds, processes)
    if start is not None:
        start.network.place(device)
    return run_resumably(
        trainer,
        out,
        config,
        write=lambda facts: save_denoiser(out, trainer.average, facts),
        begin=lambda: None if start is None else trainer.start_from(start.network),
        validate=lambda network, held: validate(network, held, device),
        cells=cells,
        held_out=held_out,
        start=start,
        provenance=provenance,
        events=events,
        finish=finish,
        until=until,
        processes=processes,
    )


def start_of(checkpoint: Checkpoint) -> Start:
    """Let a training begin with weights from a file."""
    known = known_cells(checkpoint.provenance, checkpoint.sha256, checkpoint.path)
    return Start(checkpoint.denoiser, known)


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

            drawn.append(
                sample_ddim(denoise, noise * (float(sigmas[0]) * denoiser.config.spread), sigmas, noise.clone)
                > 0
            )
    volume, true_volume = _voxels(drawn[0]), _voxels(truth)
    return HeldOut(
        float(_iou(drawn[0], truth).mean()),
        float(((volume - true_volume).abs() / true_volume).mean()),
        float(_iou(drawn[0], drawn[1]).mean()),
        count,
    )


def _voxels(inside: torch.Tensor) -> torch.Tensor:
    return inside.sum((1, 2, 3, 4)).double()


def _iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return _voxels(a & b) / _voxels(a | b).clamp_min(1.0)
