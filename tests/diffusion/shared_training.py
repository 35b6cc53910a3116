"""A training in several processes: python -m torch.distributed.run THIS CELLS OUT [STEPS]."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from dispr_cli.config import TrainingConfig
from dispr_cli.diffusion.dataset import load_cells
from dispr_cli.diffusion.processes import joined
from dispr_cli.diffusion.resumable_run import Progress, TrainingEvents
from dispr_cli.diffusion.training_run import train_denoiser
from tests.diffusion.tiny import TINY

CONFIG = TrainingConfig(num_examples=48, batch_size=4, warmup=2, ema_half_life=8.0, learning_rate=1e-3)


def train(cells: Path, out: Path, stop_after: int | None = None) -> None:
    losses: list[float] = []

    def heard(progress: Progress) -> None:
        losses.append(progress.loss)
        if len(losses) == stop_after:
            raise KeyboardInterrupt

    torch.set_num_threads(1)
    with joined(torch.device("cpu")) as processes:
        try:
            train_denoiser(
                *(load_cells(cells), out, CONFIG, TINY),
                device=torch.device("cpu"),
                events=TrainingEvents(heard),
                processes=processes,
            )
        finally:
            if processes.is_first:
                out.with_suffix(".json").write_text(json.dumps(losses))


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None)
