"""Train SHAPR, or SHAPR with the topological loss, on each fold of the real cells.

    python -m benchmarks.train_shapr CELLS.npz --out PEERS/shapr
    python -m benchmarks.train_shapr CELLS.npz --out PEERS/shapr-topo --topology --start PEERS/shapr
    python -m benchmarks.train_shapr CELLS.npz --out PEERS/shapr-phantoms --phantoms PHANTOMS.npz

Writes ``fold0.safetensors`` to ``fold4.safetensors``; resumable. With ``--start`` the topological loss comes
in the end only, from the network of the same fold, which never saw the fold's cells either. With
``--phantoms`` SHAPR gets what ours gets: synthetic cells first (``phantoms.safetensors``, which knows no real
cell). On Linux ``MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=4294967296``
keeps memory, which is a third faster.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dispr_cli.baselines.shapr.method import load_shapr
from dispr_cli.baselines.shapr.settings import ShaprConfig
from dispr_cli.baselines.shapr.training import train_shapr
from dispr_cli.diffusion.dataset import TrainingCells, load_cells
from dispr_cli.diffusion.device import choose_autocast, choose_device, describe
from dispr_cli.diffusion.held_out_metrics import HeldOut
from dispr_cli.diffusion.known_cells import known_cells
from dispr_cli.diffusion.resumable_run import Progress, Start, TrainingEvents
from dispr_cli.study.folds import assign_folds
from dispr_cli.training import PUBLISHED_TOPOLOGY_WEIGHT

NUM_FOLDS = 5


def report(progress: Progress, found: HeldOut) -> None:
    """Print how the cells of the fold are predicted so far."""
    print(
        f"{progress.examples} of {progress.total} examples, {progress.seconds:.0f} s, "
        f"loss {progress.loss:.3f}; "
        f"held out: IoU {found.iou:.3f}, volume error {100.0 * found.volume_error:.1f} %",
        flush=True,
    )


def train(
    out: Path,
    learned: TrainingCells,
    held_out: TrainingCells,
    start: Path | None,
    examples: int,
    args: argparse.Namespace,
) -> bool:
    """Train one network unless it is there; returns whether it is complete."""
    if out.exists():
        return True
    config = ShaprConfig(
        num_examples=examples,
        learning_rate=args.rate,
        topology_weight=PUBLISHED_TOPOLOGY_WEIGHT if args.topology else 0.0,
    )
    device = choose_device(args.device)
    autocast = choose_autocast(device, config.precision)
    facts: dict[str, Any] = {"method": "shapr-topo" if args.topology else "shapr", "stage": out.stem}
    facts["device"] = describe(device, autocast)
    first = None
    if start is not None:
        begun = load_shapr(start)
        first = Start(begun.network, known_cells(begun.provenance, begun.sha256))
        trained = begun.provenance
        facts["start"] = {key: trained.get(key) for key in ("method", "stage", "cells", "training")}
        facts["start"]["weights_sha256"] = begun.sha256
    print(f"{out}: begins", flush=True)
    complete = train_shapr(
        learned,
        out,
        config,
        device=device,
        autocast=autocast is not None,
        held_out=held_out,
        start=first,
        provenance=facts,
        events=TrainingEvents(held_out=report),
        until=args.until,
    )
    if not complete:
        print(f"{out}: out of time, saved; run the same command to go on", flush=True)
    return complete


def main() -> None:
    """Train the folds asked for, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path)
    parser.add_argument("--out", type=Path, default=Path("local/peers/shapr"))
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--topology", action="store_true")
    parser.add_argument("--start", type=Path, help="folder with fold0.safetensors and so on to begin with")
    parser.add_argument("--phantoms", type=Path, help="packed phantoms to begin with")
    parser.add_argument("--phantom-examples", type=int, default=6_000)
    parser.add_argument("--examples", type=int, default=ShaprConfig().num_examples)
    parser.add_argument("--rate", type=float, default=ShaprConfig().learning_rate)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.until = time.monotonic() + 60.0 * args.minutes
    cells = load_cells(args.cells)
    held = assign_folds(cells.names, NUM_FOLDS)
    first = args.out / "phantoms.safetensors"
    if args.phantoms and not train(
        first, load_cells(args.phantoms), cells, None, args.phantom_examples, args
    ):
        return
    for fold in (int(text) for text in args.folds.split(",")):
        out = args.out / f"fold{fold}.safetensors"
        start = first if args.phantoms else args.start / out.name if args.start else None
        learned, held_out = (cells.select(np.flatnonzero(part)) for part in (held != fold, held == fold))
        if not train(out, learned, held_out, start, args.examples, args):
            return


if __name__ == "__main__":
    main()
