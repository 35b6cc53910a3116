"""What more samples of a cell buy: the single guesses made of them, held-out cells.

    python -m benchmarks.samples_needed CELLS.npz --weights local/folds

Every cell is drawn by the network of its own fold. Writes ``benchmarks/results/samples.json``: means over
cells with 95 % bootstrap intervals, for each number of samples, from the same samples throughout.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from benchmarks.score_folds import NUM_FOLDS, summarise
from dispr_cli.config import SURFACE_LEVEL, SamplerConfig
from dispr_cli.diffusion.checkpoint import load_denoiser
from dispr_cli.diffusion.dataset import load_cells
from dispr_cli.diffusion.device import choose_device
from dispr_cli.diffusion.reconstruction import DiffusionMethod
from dispr_cli.shape.errors import iou
from dispr_cli.shape.unmeshed_area import unmeshed_area
from dispr_cli.study.folds import assign_folds

COUNTS = (1, 3, 5, 10, 20, 40)


def guesses(truth: np.ndarray, samples: np.ndarray) -> list[dict[str, float]]:
    """Score the vote and the medians of the first 1, 3, 5, ... samples; errors are relative."""
    inside = samples > SURFACE_LEVEL
    volumes, true_volume = inside.sum((1, 2, 3)).astype(float), float((truth > SURFACE_LEVEL).sum())
    areas, true_area = np.array([unmeshed_area(one) for one in samples]), unmeshed_area(truth)
    rows = []
    for count in COUNTS:
        vote = np.where(inside[:count].mean(0) > 0.5, 255, 0).astype(np.uint8)
        rows.append(
            {
                "iou_vote": iou(vote, truth),
                "volume_error_vote": abs(float((vote > SURFACE_LEVEL).sum()) - true_volume) / true_volume,
                "volume_error_median": abs(float(np.median(volumes[:count])) - true_volume) / true_volume,
                "surface_error_median": abs(float(np.median(areas[:count])) - true_area) / true_area,
            }
        )
    return rows


def main() -> None:
    """Draw the most samples once, score every number of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("local/folds"))
    parser.add_argument("--steps", type=int, default=SamplerConfig().num_steps)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/samples.json"))
    args = parser.parse_args()
    cells = load_cells(args.cells)
    fold, found, hashes = assign_folds(cells.names, NUM_FOLDS), [], {}
    order = np.argsort(fold, kind="stable")
    for k in range(NUM_FOLDS):
        checkpoint = load_denoiser(args.weights / f"fold{k}.safetensors")
        hashes[f"fold{k}"] = checkpoint.sha256
        method = DiffusionMethod(checkpoint, SamplerConfig(num_steps=args.steps), choose_device(args.device))
        for index in np.flatnonzero(fold == k):
            samples = method.reconstruct([cells.cell(index)], max(COUNTS), seed=0)[0]
            found.append(guesses(cells.occupancy(index), samples))
    names = [cells.names[i] for i in order]
    results = []
    for place, count in enumerate(COUNTS):
        result = {"samples": count, **summarise([rows[place] for rows in found], names)}
        results.append(result)
        means = {k: round(v["mean"], 4) for k, v in result.items() if isinstance(v, dict) and "mean" in v}
        print(count, means, flush=True)
    facts = {"torch": torch.__version__, "steps": args.steps, "weights_sha256": hashes}
    args.out.write_text(json.dumps({**facts, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
