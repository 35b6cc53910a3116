"""Train the shipped denoiser and its five held-out twins: phantoms first, then real cells fold by fold.

    python -m benchmarks.train_folds CELLS.npz --phantoms PHANTOMS.npz --out local/folds

Stages, each resumable and each a file in --out: ``phantoms`` (no real cell), ``fold0`` .. ``fold4`` (start
from ``phantoms``; the cells of the fold are never seen) and ``final`` (all cells). ``--recipe`` changes
settings of the stages with real cells, see ``benchmarks/recipes.py``; ``--snapshots 3`` also keeps the
running average after one and two thirds. The .npz files are made by ``benchmarks/pack_cells.py``. Needs
torch, numpy and safetensors, on a CPU or a GPU, where several stages may run side by side.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.recipes import settings
from dispr_cli.diffusion.checkpoint import load_denoiser, save_denoiser
from dispr_cli.diffusion.dataset import TrainingCells, join_cells, load_cells
from dispr_cli.diffusion.denoiser import VolumeDenoiser
from dispr_cli.diffusion.device import choose_autocast, describe
from dispr_cli.diffusion.resumable_run import Progress, TrainingEvents
from dispr_cli.diffusion.training import Trainer
from dispr_cli.diffusion.training_run import start_of, train_denoiser
from dispr_cli.study.folds import assign_folds

NUM_FOLDS = 5
TRIED_STEPS = 25


def stage_cells(
    stage: str, real: TrainingCells, phantoms: TrainingCells | None, share: float
) -> tuple[TrainingCells, np.ndarray]:
    """Choose the cells a stage may see and their odds; ``share`` of the draws are phantoms."""
    if stage == "phantoms":
        assert phantoms is not None, "--phantoms is needed for the first stage"
        return phantoms, np.ones(len(phantoms))
    if stage.startswith("fold"):
        real = real.select(np.flatnonzero(assign_folds(real.names, NUM_FOLDS) != int(stage[4:])))
    if phantoms is None or share <= 0.0:
        return real, np.ones(len(real))
    odds = [np.full(len(real), (1.0 - share) / len(real)), np.full(len(phantoms), share / len(phantoms))]
    return join_cells([real, phantoms]), np.concatenate(odds)


def examples_in(seconds: float, trainer: Trainer) -> int:
    """How many examples can be learned from in so many seconds here, by trying."""
    for _ in range(TRIED_STEPS):
        trainer._take_step()
    began = time.monotonic()
    for _ in range(TRIED_STEPS):
        loss = trainer._take_step()
    float(loss)
    rate = TRIED_STEPS * trainer.config.batch_size / (time.monotonic() - began)
    return max(1000, round(rate * seconds / 1000) * 1000)


def start_file(stage: str, args: argparse.Namespace) -> Path:
    """Weights a stage starts from: its own of an earlier round, or the phantoms'."""
    earlier: Path | None = args.start / f"{stage}.safetensors" if args.start else None
    return earlier if earlier and earlier.exists() else args.out / "phantoms.safetensors"


def held_out_cells(stage: str, real: TrainingCells) -> TrainingCells | None:
    """Real cells the stage never sees: all of them while it learns from phantoms, none in the end."""
    if stage == "phantoms":
        return real
    if stage.startswith("fold"):
        return real.select(np.flatnonzero(assign_folds(real.names, NUM_FOLDS) == int(stage[4:])))
    return None


def without_digests(provenance: dict[str, Any]) -> dict[str, Any]:
    """Leave out the cells of an earlier stage: this one records all that is behind it."""
    return {name: value for name, value in provenance.items() if name not in ("learned", "held_out_digests")}


def train_stage(stage: str, args: argparse.Namespace, real: TrainingCells, until: float) -> bool:
    """Train one stage, or go on with it; returns whether it is complete."""
    out = args.out / f"{stage}.safetensors"
    if out.exists():
        return True
    pretraining = stage == "phantoms"
    fresh = pretraining or args.scratch
    phantoms = load_cells(args.phantoms) if args.phantoms else None
    config, shape = settings(args.phantom_recipe if pretraining else args.recipe)
    device = torch.device(args.device)
    autocast = choose_autocast(device, config.precision) is not None
    cells, odds = stage_cells(stage, real, phantoms, args.phantom_share)
    if args.seconds:
        trial = Trainer(cells, config, shape, device, autocast, odds)
        config = dataclasses.replace(config, num_examples=examples_in(args.seconds, trial))
        del trial
    first = None if fresh else load_denoiser(start_file(stage, args))
    losses: list[float] = []

    snapshots = 0

    def keep(progress: Progress, average: VolumeDenoiser) -> None:
        nonlocal snapshots
        due = progress.examples * args.snapshots // progress.total
        if snapshots < due < args.snapshots:
            save_denoiser(args.out / f"{stage}.part{due}.safetensors", average, {"stage": stage})
        snapshots = due

    def report(progress: Progress) -> None:
        losses.append(progress.loss)
        if len(losses) % 50 == 0:
            mean = np.mean(losses[-50:])
            print(
                f"{stage} {progress.examples}/{progress.total} loss {mean:.4f} {progress.seconds:.0f} s",
                flush=True,
            )

    return train_denoiser(
        cells,
        out,
        config,
        shape,
        device=device,
        autocast=autocast,
        held_out=held_out_cells(stage, real),
        start=None if first is None else start_of(first),
        odds=odds,
        provenance={
            "stage": stage,
            "phantom_share": 1.0 if pretraining else args.phantom_share,
            "device": describe(device, torch.bfloat16 if autocast else None),
            "start": None if first is None else without_digests(first.provenance),
        },
        events=TrainingEvents(
            report,
            lambda progress, metrics: print(f"{stage} held out: {metrics}", flush=True),
            average=keep,
        ),
        until=until,
    )


def main() -> None:
    """Run the stages asked for, in order, as far as the time goes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path)
    parser.add_argument("--phantoms", type=Path)
    parser.add_argument("--out", type=Path, default=Path("local/folds"))
    parser.add_argument("--start", type=Path, help="folder of an earlier round to go on from, stage by stage")
    parser.add_argument("--stages", default="phantoms,fold0,fold1,fold2,fold3,fold4,final")
    parser.add_argument("--phantom-recipe", default="num_examples=150000 batch_size=128 learning_rate=1.5e-3")
    parser.add_argument("--recipe", default="")
    parser.add_argument("--snapshots", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="of a stage: decides its number of examples, by trying")
    parser.add_argument("--phantom-share", type=float, default=0.25)
    parser.add_argument("--scratch", action="store_true", help="start folds from random weights")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    until = time.monotonic() + 60.0 * args.minutes
    real = load_cells(args.cells)
    for stage in args.stages.split(","):
        if not train_stage(stage, args, real, until):
            print(f"{stage}: out of time, saved; run the same command to go on", flush=True)
            return


if __name__ == "__main__":
    main()
