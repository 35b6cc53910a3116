"""How many cells of one's own it takes: fine-tuning against training from scratch.

    python -m benchmarks.learning_curve CELLS.npz --start local/gpu2/phantoms.safetensors

The shipped weights know all real cells, so they cannot tell what they would learn from ten of them. Instead:
the weights of the stage before, which know phantoms alone, trained on 10, 30 and all 86 cells outside fold 0,
and random ones trained on all 86; scored on the 22 cells of that fold. Every training sees equally many
augmented examples. Resumable; ``--train phantoms10,random86`` only trains these, so that processes can share
the work. Writes ``benchmarks/results/learning_curve.json`` and ``docs/learning_curve.png``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.recipes import settings
from benchmarks.score_folds import NUM_FOLDS, score, summarise
from dispr_cli.config import SamplerConfig
from dispr_cli.diffusion.checkpoint import Checkpoint, load_denoiser
from dispr_cli.diffusion.dataset import TrainingCells, load_cells
from dispr_cli.diffusion.device import choose_autocast, choose_device
from dispr_cli.diffusion.reconstruction import DiffusionMethod
from dispr_cli.diffusion.training_run import start_of, train_denoiser
from dispr_cli.study.folds import assign_folds, class_of

SIZES = (10, 30, 86)
RUNS = (*(("phantoms", size) for size in SIZES), ("random", SIZES[-1]))
SHOWN = {
    "iou_vote": ("IoU of the vote of 5", 1.0),
    "volume_error_one": ("volume error of one sample (%)", 100.0),
    "volume_covered": ("between the extremes of 5 (%)", 100.0),
}


def some_of(cells: TrainingCells, size: int, seed: int) -> TrainingCells:
    """Choose cells at random, each class in its proportion; fewer are always among more."""
    random, classes = np.random.default_rng(seed), np.array([class_of(name) for name in cells.names])
    rank = np.empty(len(cells))
    for one in np.unique(classes):
        members = np.flatnonzero(classes == one)
        rank[random.permutation(members)] = (np.arange(len(members)) + 0.5) / len(members)
    return cells.select(np.sort(np.argsort(rank, kind="stable")[:size]))


def scored(checkpoint: Checkpoint, cells: TrainingCells, device: torch.device) -> dict[str, Any]:
    """Scores on cells never trained on, default sampler."""
    method = DiffusionMethod(checkpoint, SamplerConfig(), device)

    def score_of(index: int) -> dict[str, float]:
        return score(cells.occupancy(index), method.reconstruct([cells.cell(index)], 5, seed=0)[0])

    return summarise([score_of(index) for index in range(len(cells))], list(cells.names))


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """One panel for each measure, a line for each start."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(SHOWN), figsize=(9.6, 3.3), constrained_layout=True)
    for axis, (key, (title, factor)) in zip(axes, SHOWN.items(), strict=True):
        for start, colour, label in (
            ("phantoms", "#b2182b", "from weights that know phantoms"),
            ("random", "#4d4d4d", "from random weights"),
        ):
            rows = [row for row in results if row["start"] == start]
            sizes = [max(row["cells"], 5) for row in rows]  # 0 has no place on a logarithmic axis
            middle = np.array([factor * row["scores"][key]["mean"] for row in rows])
            ends = factor * np.array([row["scores"][key]["interval"] for row in rows])
            reach = np.abs(ends - middle[:, None]).T
            axis.errorbar(sizes, middle, reach, fmt="o-", color=colour, label=label, ms=4, capsize=2, lw=1)
        axis.set(xscale="log", xlabel="real cells to learn from", title=title)
        axis.set_xticks([5, *SIZES], ["0", *map(str, SIZES)], minor=False)
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    figure.savefig(path, dpi=160)


def main() -> None:
    """Train, score, draw; what is there already is not trained again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path)
    parser.add_argument("--start", type=Path, required=True, help="weights that know no real cell")
    parser.add_argument("--work", type=Path, default=Path("local/learning_curve"))
    parser.add_argument(
        "--recipe", default="num_examples=14000 batch_size=8 learning_rate=6e-4 warmup=100 ema_half_life=1400"
    )
    parser.add_argument("--train", help="trainings to do, with commas between them; nothing is scored")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of cells")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/learning_curve.json"))
    parser.add_argument("--figure", type=Path, default=Path("docs/learning_curve.png"))
    args = parser.parse_args()
    device, (config, shape) = choose_device(args.device), settings(args.recipe)
    cells, first = load_cells(args.cells), load_denoiser(args.start)
    held = assign_folds(cells.names, NUM_FOLDS) == 0
    tried, known = cells.select(np.flatnonzero(held)), cells.select(np.flatnonzero(~held))
    args.work.mkdir(parents=True, exist_ok=True)

    def trained(start: str, size: int) -> Path:
        out: Path = args.work / f"{start}{size}.safetensors"
        if not out.exists():
            train_denoiser(
                some_of(known, size, args.seed),
                out,
                config,
                shape,
                device=device,
                autocast=choose_autocast(device, config.precision) is not None,
                start=start_of(load_denoiser(args.start)) if start == "phantoms" else None,
            )
        return out

    if args.train:
        for name in args.train.split(","):
            start = name.rstrip("0123456789")
            print(trained(start, int(name.removeprefix(start))), flush=True)
        return
    results: list[dict[str, Any]] = [
        {"start": "phantoms", "cells": 0, "scores": scored(first, tried, device)}
    ]
    for start, size in RUNS:
        out = trained(start, size)
        scores = scored(load_denoiser(out), tried, device)
        results.append({"start": start, "cells": size, "scores": scores})
        means = {key: round(scores[key]["mean"], 3) for key in SHOWN}
        print(start, size, means, flush=True)
    facts = {
        "torch": torch.__version__,
        "recipe": args.recipe,
        "start_sha256": first.sha256,
        "seed": args.seed,
    }
    args.out.write_text(json.dumps({**facts, "results": results}, indent=1) + "\n")
    draw(results, args.figure)


if __name__ == "__main__":
    main()
