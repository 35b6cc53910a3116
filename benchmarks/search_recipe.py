"""Search for a training recipe on inner splits: cells that outer fold 0 is reported on take no part in it.

    python -m benchmarks.search_recipe CELLS.npz --phantoms PHANTOMS.npz --out local/search

Each line of ``--recipes`` is ``name: changes``, see ``benchmarks/recipes.py``; ``share``, ``start`` and
``split`` are the phantoms' share of the draws, a file of ``--out`` to start from (``-`` for random weights)
and the inner split. Every cell of outer fold 0 is left out altogether; an inner split of the others is
scored. ``split=phantoms`` learns from phantoms alone and is scored on no cell. Appends a line of JSON for
each score to ``search.jsonl``; a recipe whose weights are there is not run again. Needs torch, numpy and
safetensors, on a CPU or a GPU.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.recipes import settings
from benchmarks.volume_scores import draw, mean_scores
from dispr_cli.config import SamplerConfig
from dispr_cli.diffusion.checkpoint import load_denoiser, save_denoiser
from dispr_cli.diffusion.dataset import TrainingCells, join_cells, load_cells
from dispr_cli.diffusion.resumable_run import Progress
from dispr_cli.diffusion.training import Trainer
from dispr_cli.study.folds import assign_folds

NUM_FOLDS = 5
INNER_FOLDS = 4


def inner_split(real: TrainingCells, split: int) -> tuple[TrainingCells, TrainingCells]:
    """Cells to learn from and to score, neither of outer fold 0."""
    inside = real.select(np.flatnonzero(assign_folds(real.names, NUM_FOLDS) != 0))
    held = assign_folds(inside.names, INNER_FOLDS, seed=1) == split
    return inside.select(np.flatnonzero(~held)), inside.select(np.flatnonzero(held))


def read_recipes(path: Path) -> dict[str, dict[str, str]]:
    """``name: changes`` -> the script's own words apart from the changes."""
    recipes = {}
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, changes = line.split(":", 1)
        own = {"share": "0.25", "start": "-", "split": "0", "scores": "3"}
        rest = []
        for change in changes.split():
            key, value = change.split("=", 1)
            if key in own:
                own[key] = value
            else:
                rest.append(change)
        recipes[name.strip()] = {**own, "changes": " ".join(rest)}
    return recipes


def run_recipe(
    name: str, recipe: dict[str, str], args: argparse.Namespace, real: TrainingCells, phantoms: TrainingCells
) -> None:
    """Train one recipe and score it a few times on the way."""
    training, denoiser = settings(recipe["changes"])
    if recipe["split"] == "phantoms":
        learned, held = phantoms, None
        odds = np.ones(len(phantoms))
    else:
        inner, held = inner_split(real, int(recipe["split"]))
        share = float(recipe["share"])
        learned = join_cells([inner, phantoms])
        odds = np.concatenate(
            [np.full(len(inner), (1 - share) / len(inner)), np.full(len(phantoms), share / len(phantoms))]
        )
    device = torch.device(args.device)
    trainer = Trainer(learned, training, denoiser, device, device.type == "cuda" or args.bf16, odds)
    if recipe["start"] != "-":
        trainer.start_from(load_denoiser(args.out / f"{recipe['start']}.safetensors").denoiser)
    wanted = int(recipe["scores"])
    started, done = time.monotonic(), 0

    def observe(progress: Progress) -> None:
        nonlocal done
        due = progress.examples * wanted // progress.total
        if due <= done and progress.examples < progress.total:
            return
        done = due
        found: dict[str, Any] = {"loss": round(progress.loss, 4)}
        if held is not None:
            for steps in args.steps:
                volumes = draw(trainer.average, held, SamplerConfig("ddpm", steps), args.samples, device)
                found[f"steps{steps}"] = mean_scores(volumes, held)
        row = {
            "name": name,
            "examples": progress.examples,
            "seconds": round(time.monotonic() - started, 1),
            **found,
        }
        print(json.dumps(row), flush=True)
        row |= {"recipe": recipe, "training": asdict(training), "denoiser": asdict(denoiser)}
        with (args.out / "search.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    trainer.run(observe, until=time.monotonic() + args.most_seconds)
    save_denoiser(args.out / f"{name}.safetensors", trainer.average, {"recipe": recipe})


def main() -> None:
    """Run the recipes that are not done, in order, as far as the time goes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path)
    parser.add_argument("--phantoms", type=Path, required=True)
    parser.add_argument("--recipes", type=Path, default=Path("benchmarks/recipes.txt"))
    parser.add_argument("--only", help="names of recipes, comma-separated; all if left out")
    parser.add_argument("--out", type=Path, default=Path("local/search"))
    parser.add_argument("--steps", type=lambda text: [int(s) for s in text.split(",")], default=[2, 6])
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16 on a CPU that can")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no recipe after so long")
    parser.add_argument("--most-seconds", type=float, default=float("inf"), help="of one recipe")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    real, phantoms = load_cells(args.cells), load_cells(args.phantoms)
    started = time.monotonic()
    for name, recipe in read_recipes(args.recipes).items():
        if args.only and name not in args.only.split(","):
            continue
        if (args.out / f"{name}.safetensors").exists():
            continue
        if time.monotonic() - started > args.seconds:
            print(f"{name}: no time left", flush=True)
            continue
        run_recipe(name, recipe, args, real, phantoms)


if __name__ == "__main__":
    main()
