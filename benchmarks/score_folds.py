"""Score the five held-out twins of the shipped denoiser on the real cells they never saw.

    python -m benchmarks.score_folds CELLS.npz --weights local/folds --steps 1,2,4,6,8 --spreads 0,0.5,1,2

Every cell is reconstructed by the network of its own fold. Writes ``benchmarks/results/folds.json``: means
over cells with 95 % bootstrap intervals, for each number of steps (at the spread of the weights) and each
spread (in the default number of steps).
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import torch

from dispr_cli.config import SURFACE_LEVEL, SamplerConfig
from dispr_cli.diffusion.checkpoint import load_denoiser
from dispr_cli.diffusion.dataset import load_cells
from dispr_cli.diffusion.device import choose_device
from dispr_cli.diffusion.reconstruction import DiffusionMethod
from dispr_cli.shape.errors import iou, slice_iou
from dispr_cli.shape.mesh import surface_area
from dispr_cli.shape.samples import fair_crps
from dispr_cli.study.folds import assign_folds, class_of

NUM_FOLDS = 5


def score(truth: np.ndarray, samples: np.ndarray, balance: int = SamplerConfig().balance) -> dict[str, float]:
    """Every measure of one cell; errors are relative."""
    true_volume = float((truth > SURFACE_LEVEL).sum())
    volumes = (samples > SURFACE_LEVEL).sum((1, 2, 3)).astype(float)
    true_area, areas = surface_area(truth), np.array([surface_area(s) for s in samples])
    vote = np.where((samples > SURFACE_LEVEL).mean(0) > 0.5, 255, 0).astype(np.uint8)
    pairs = [(i, j) for i in range(len(samples)) for j in range(i)]
    return {
        "iou_one": float(np.mean([iou(s, truth) for s in samples])),
        "iou_vote": iou(vote, truth),
        "iou_between_samples": float(np.mean([iou(samples[i], samples[j]) for i, j in pairs]))
        if pairs
        else 1.0,
        "volume_error_one": float(np.mean(np.abs(volumes - true_volume))) / true_volume,
        "volume_error_median": abs(float(np.median(volumes)) - true_volume) / true_volume,
        "volume_spread": float(volumes.std(ddof=1)) / true_volume if len(samples) > 1 else 0.0,
        "volume_crps": float(fair_crps(volumes, true_volume, balance)) / true_volume,
        "volume_covered": float(volumes.min() <= true_volume <= volumes.max()),
        "surface_error_one": float(np.mean(np.abs(areas - true_area))) / true_area,
        "surface_bias": float(np.mean(areas - true_area)) / true_area,
        "volume_bias": float(np.mean(volumes - true_volume)) / true_volume,
        "slice_iou": float(np.mean([slice_iou(s, truth) for s in samples])),
    }


def interval(values: np.ndarray, rng: np.random.Generator) -> list[float]:
    """Bootstrap the mean over cells, 95 %."""
    means = values[rng.integers(0, len(values), (2000, len(values)))].mean(1)
    return [float(np.quantile(means, q)) for q in (0.025, 0.975)]


def summarise(scores: list[dict[str, float]], names: list[str]) -> dict[str, object]:
    """Means, intervals and class means."""
    rng = np.random.default_rng(0)
    summary: dict[str, object] = {"n": len(scores)}
    for measure in scores[0]:
        values = np.array([cell[measure] for cell in scores])
        by_class = {
            c: float(values[[class_of(n) == c for n in names]].mean()) for c in sorted(map(class_of, names))
        }
        summary[measure] = {
            "mean": float(values.mean()),
            "median": float(np.median(values)),
            "cells": dict(zip(names, values.round(4).tolist(), strict=True)),
            "sd": float(values.std(ddof=1)),
            "interval": interval(values, rng),
            "by_class": by_class,
        }
    return summary


def main() -> None:
    """Reconstruct and score, one number of steps after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("local/folds"))
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--steps", default=str(SamplerConfig().num_steps))
    parser.add_argument("--spreads", default="")
    parser.add_argument("--seeds", default="0", help="of the noise; each is scored by itself")
    parser.add_argument("--sampler", default=SamplerConfig().sampler)
    parser.add_argument("--sigma-max", type=float)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--balance", type=int, default=SamplerConfig().balance)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/folds.json"))
    args = parser.parse_args()
    cells = load_cells(args.cells)
    fold = assign_folds(cells.names, NUM_FOLDS)
    folds = [int(text) for text in args.folds.split(",")]
    tried = [
        SamplerConfig(args.sampler, int(text), balance=args.balance) for text in args.steps.split(",") if text
    ]
    tried += [
        SamplerConfig(args.sampler, balance=args.balance, spread=float(text))
        for text in args.spreads.split(",")
        if text
    ]
    if not tried:
        parser.error("nothing to score: give --steps or --spreads")
    results = []
    for sampler, seed in itertools.product(tried, map(int, args.seeds.split(","))):
        scores, names, hashes = [], [], {}
        for k in folds:
            checkpoint = load_denoiser(args.weights / f"fold{k}.safetensors")
            hashes[f"fold{k}"] = checkpoint.sha256
            if args.sigma_max:
                config = dataclasses.replace(checkpoint.denoiser.config, sigma_max=args.sigma_max)
                checkpoint.denoiser.config = config
            method = DiffusionMethod(checkpoint, sampler, choose_device(args.device))
            for index in np.flatnonzero(fold == k):
                samples = method.reconstruct([cells.cell(index)], args.samples, seed)[0]
                scores.append(score(cells.occupancy(index), samples, method.sampler.balance))
                names.append(cells.names[index])
        result = {
            "steps": sampler.num_steps,
            "sampler": sampler.sampler,
            "balance": sampler.balance,
            "spread": sampler.spread,
            "seed": seed,
            "weights_sha256": hashes,
            **summarise(scores, names),
        }
        results.append(result)
        means = {k: round(v["mean"], 3) for k, v in result.items() if isinstance(v, dict) and "mean" in v}
        print(sampler.num_steps, sampler.spread, seed, means, flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps({"torch": torch.__version__, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
