"""One training of our denoiser, from its start to the weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dispr_cli.config import DenoiserConfig, TrainingConfig
from dispr_cli.diffusion.checkpoint import Checkpoint
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.denoiser import VolumeDenoiser
from dispr_cli.diffusion.known_cells import known_cells
from dispr_cli.diffusion.processes import ALONE, Processes
from dispr_cli.diffusion.resumable_run import ResumableRun, Start, TrainingEvents
from dispr_cli.diffusion.training import Trainer


def train_denoiser(
    cells: TrainingCells,
    out: Path,
    config: TrainingConfig,
    denoiser_config: DenoiserConfig,
    *,
    device: torch.device,
    autocast: bool = False,
    held_out: TrainingCells | None = None,
    start: Start[VolumeDenoiser] | None = None,
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
        Called when the weights are written, with the cells that they never saw, see :meth:`ResumableRun.run`.
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
    run = ResumableRun(
        trainer,
        out,
        cells,
        held_out=held_out,
        start=start,
        provenance=provenance,
        events=events,
        processes=processes,
    )
    return run.run(until, finish)


def start_of(checkpoint: Checkpoint) -> Start[VolumeDenoiser]:
    """Let a training begin with weights from a file."""
    known = known_cells(checkpoint.provenance, checkpoint.sha256, checkpoint.path)
    return Start(checkpoint.denoiser, known)
