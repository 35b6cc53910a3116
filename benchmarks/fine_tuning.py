"""How fast to learn when a training starts from weights: a few real cells that those weights never saw.

    python -m benchmarks.fine_tuning local/rbc.npz --weights local/folds --networks 3

The network of each fold learns from half of the cells held out of it, and is tried on the other half before
and after. The metrics are those that ``dispr train`` prints.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import torch

from dispr_cli.config import TrainingConfig
from dispr_cli.diffusion.checkpoint import load_denoiser
from dispr_cli.diffusion.dataset import TrainingCells, load_cells
from dispr_cli.diffusion.device import choose_autocast, choose_device, describe
from dispr_cli.diffusion.held_out_metrics import HeldOut
from dispr_cli.diffusion.training import Trainer
from dispr_cli.diffusion.training_facts import fold_files
from dispr_cli.diffusion.validation import validate
from dispr_cli.study.folds import assign_folds


def halves(cells: TrainingCells, names: list[str]) -> tuple[TrainingCells, TrainingCells]:
    """Divide the named cells, stratified by class: to learn from, to try."""
    own = cells.select(np.flatnonzero(np.isin(cells.names, names)))
    part = assign_folds(own.names, 2)
    return own.select(np.flatnonzero(part == 0)), own.select(np.flatnonzero(part == 1))


def main() -> None:
    """Train every fold at every rate; the file is written anew after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="folder with fold0.safetensors and so on")
    parser.add_argument("--networks", type=int, default=5, help="so many of the folds")
    parser.add_argument("--rates", default="8e-4,3e-4,1e-4")
    parser.add_argument("--examples", type=int, default=640)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--warmup", type=int, default=TrainingConfig().warmup)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/fine_tuning.json"))
    args = parser.parse_args()
    device, cells = choose_device(args.device), load_cells(args.cells)
    autocast = choose_autocast(device, "auto")
    rates = [float(rate) for rate in args.rates.split(",")]
    trainings = []
    for file in fold_files(args.weights)[: args.networks]:
        first = load_denoiser(file)
        learned, tried = halves(cells, first.provenance["held_out"])
        first.denoiser.place(device)
        before = validate(first.denoiser, tried, device)
        for rate in rates:
            config = TrainingConfig(
                num_examples=args.examples,
                batch_size=args.batch_size,
                learning_rate=rate,
                warmup=args.warmup,
            )
            trainer = Trainer(learned, config, first.denoiser.config, device, autocast is not None)
            trainer.start_from(first.denoiser)
            trainer.run(lambda progress: None)
            after = validate(trainer.average, tried, device)
            trainings.append(
                {
                    "weights": file.name,
                    "weights_sha256": first.sha256,
                    "learned": len(learned),
                    "tried": len(tried),
                    "learning_rate": rate,
                    "before": dataclasses.asdict(before),
                    "after": dataclasses.asdict(after),
                }
            )
            print(file.name, rate, before, after, flush=True)
            facts = {"torch": torch.__version__, "device": describe(device, autocast)}
            settings = {name: getattr(args, name) for name in ("examples", "batch_size", "warmup")}
            content = {**facts, **settings, "trainings": trainings, "means": means(trainings, rates)}
            args.out.write_text(json.dumps(content, indent=1) + "\n")


def means(trainings: list[dict[str, object]], rates: list[float]) -> list[dict[str, float]]:
    """Mean change of each metric over the networks, with its standard deviation, at each rate."""
    table = []
    for rate in rates:
        own = [one for one in trainings if one["learning_rate"] == rate]
        row: dict[str, float] = {"learning_rate": rate, "networks": len(own)}
        for metric in (field.name for field in dataclasses.fields(HeldOut)):
            change = [one["after"][metric] - one["before"][metric] for one in own]  # type: ignore[index]
            row[metric] = float(np.mean(change)) if own else float("nan")
            row[f"{metric}_sd"] = float(np.std(change, ddof=1)) if len(own) > 1 else float("nan")
        table.append(row)
    return table


if __name__ == "__main__":
    main()
