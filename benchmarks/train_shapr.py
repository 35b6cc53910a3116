"""Train SHAPR, or SHAPR with the topological loss, on each fold of the real cells.

    python benchmarks/train_shapr.py CELLS.npz --out local/peers
    python benchmarks/train_shapr.py CELLS.npz --out local/peers --topology

Writes ``shapr.fold0.safetensors`` to ``shapr.fold4`` (``shapr-topo.*`` with ``--topology``); resumable.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from dispr_cli.baselines.shapr.settings import ShaprConfig
from dispr_cli.baselines.shapr.training import train_shapr
from dispr_cli.diffusion.dataset import load_cells
from dispr_cli.diffusion.training import Progress
from dispr_cli.diffusion.training_run import TrainingEvents
from dispr_cli.study.folds import assign_folds

NUM_FOLDS = 5
PUBLISHED_TOPOLOGY_WEIGHT = 0.1


def main() -> None:
    """Train the folds asked for, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path)
    parser.add_argument("--out", type=Path, default=Path("local/peers"))
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--topology", action="store_true")
    parser.add_argument("--examples", type=int, default=ShaprConfig().num_examples)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    until = time.monotonic() + 60.0 * args.minutes
    cells = load_cells(args.cells)
    held = assign_folds(cells.names, NUM_FOLDS)
    name = "shapr-topo" if args.topology else "shapr"
    config = ShaprConfig(
        num_examples=args.examples, topology_weight=PUBLISHED_TOPOLOGY_WEIGHT if args.topology else 0.0
    )
    for fold in (int(text) for text in args.folds.split(",")):
        out = args.out / f"{name}.fold{fold}.safetensors"
        if out.exists():
            continue
        losses: list[float] = []

        def report(progress: Progress, fold: int = fold, losses: list[float] = losses) -> None:
            losses.append(progress.loss)
            if len(losses) % 50 == 0:
                mean, spent = np.mean(losses[-50:]), progress.seconds
                print(f"{name} fold{fold} {progress.examples} loss {mean:.4f} {spent:.0f} s", flush=True)

        complete = train_shapr(
            cells.select(np.flatnonzero(held != fold)),
            out,
            config,
            device=torch.device(args.device),
            held_out=cells.select(np.flatnonzero(held == fold)),
            provenance={"method": name, "fold": fold},
            events=TrainingEvents(report, lambda progress, metrics: print(metrics, flush=True)),
            until=until,
        )
        if not complete:
            print(f"{out.name}: out of time, saved; run the same command to go on", flush=True)
            return


if __name__ == "__main__":
    main()
