r"""Measure how far the weights can be trusted, and write what ``dispr reconstruct`` says of it.

    python -m benchmarks.measure_trust local/rbc.npz --weights local/folds \
        --for dispr_cli/weights/dispr.safetensors --non-cells FIELDS_OF_VIEW

Each of the 108 cells is drawn by the network that never saw it. Intervals, and what training cells look like,
are measured by cross-fitting: fitted on the cells of four folds, tried on the fifth. What is shipped beside
the weights (``dispr.trust.json``) is fitted on all cells, for the default sampler and for that of ``--quality
high``. Writes ``benchmarks/results/trust.json``. What was drawn is kept in
``local/trust_samples_STEPS_SPREAD.npz`` and used again for the same weights, sampler and count.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.non_cells import drawn_non_cells, found_non_cells
from benchmarks.score_folds import NUM_FOLDS
from dispr_cli.config import FOREGROUND, SamplerConfig
from dispr_cli.diffusion.checkpoint import load_denoiser
from dispr_cli.diffusion.dataset import TrainingCells, load_cells
from dispr_cli.diffusion.device import choose_device
from dispr_cli.diffusion.familiarity import Familiarity, fit_familiarity
from dispr_cli.diffusion.intervals import fit_intervals
from dispr_cli.diffusion.reconstruction import DiffusionMethod
from dispr_cli.diffusion.trust import (
    QUANTITIES,
    MeasuredIntervals,
    Trust,
    sampling_settings,
    trust_file,
    write_trust,
)
from dispr_cli.inputs.cell import Cell
from dispr_cli.quality import QUALITIES
from dispr_cli.shape.calibration import VoxelReliability, voxel_reliability
from dispr_cli.shape.unmeshed_area import unmeshed_area
from dispr_cli.study.folds import assign_folds, class_of

COVERAGE = 0.8
NORMAL_80 = 1.2816
VOTERS = 5
NON_CELLS_SEED = 2026
PHANTOM_SEED = 70001


def draw(cells: TrainingCells, args: argparse.Namespace, sampler: SamplerConfig) -> dict[str, np.ndarray]:
    """Volumes and areas of samples and truths, and the voxels by votes of the first five samples."""
    device, facts = choose_device(args.device), []
    methods = []
    for k in range(NUM_FOLDS):
        checkpoint = load_denoiser(args.weights / f"fold{k}.safetensors")
        methods.append(DiffusionMethod(checkpoint, sampler, device))
        facts.append(checkpoint.sha256)
    key = json.dumps([facts, sampling_settings(methods[0].identity()), args.samples, list(cells.names)])
    kept = args.drawn / f"trust_samples_{sampler.num_steps}_{sampler.spread:g}.npz"
    if kept.exists():
        with np.load(kept, allow_pickle=False) as file:
            if str(file["key"]) == key:
                return dict(file)
    fold, found = assign_folds(cells.names, NUM_FOLDS), []
    for index in range(len(cells)):
        if cells.names[index] not in methods[fold[index]].checkpoint.provenance["held_out"]:
            raise SystemExit(f"{cells.names[index]}: fold{fold[index]} was trained on it")
        samples = methods[fold[index]].reconstruct([cells.cell(index)], args.samples, seed=0)[0]
        found.append(measure(samples, cells.occupancy(index)))
        print(f"{index + 1} of {len(cells)}", flush=True)
    drawn = {name: np.stack([cell[name] for cell in found]) for name in found[0]}
    np.savez_compressed(kept, allow_pickle=False, key=np.array(key), **drawn)
    return drawn


def measure(samples: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """All numbers of one cell."""
    inside, one = (voxel_reliability(list(samples[:some]), truth) for some in (VOTERS, 1))
    return {
        "volume": (samples >= FOREGROUND).sum((1, 2, 3)).astype(float),
        "surface": np.array([unmeshed_area(sample) for sample in samples]),
        "true_volume": float((truth >= FOREGROUND).sum()),
        "true_surface": unmeshed_area(truth),
        "voxels": inside.voxels,
        "hits": inside.hits,
        "voxels_of_one": one.voxels,
        "hits_of_one": one.hits,
    }


def wilson(hits: int, count: int, z: float = 1.96) -> list[float]:
    """95 % interval of a share (Wilson 1927)."""
    share, middle = hits / count, (hits + z * z / 2) / (count + z * z)
    half = z / (count + z * z) * np.sqrt(count * share * (1 - share) + z * z / 4)
    return [round(float(middle - half), 3), round(float(middle + half), 3)]


def intervals(
    samples: np.ndarray, truth: np.ndarray, fold: np.ndarray, names: list[str], balance: int
) -> dict[str, Any]:
    """Coverage of cross-fitted intervals from 1, 2, 3, 5, ... samples, and of the raw spread beside it."""
    learned = [(samples[fold != k], truth[fold != k]) for k in range(NUM_FOLDS)]
    fitted = [fit_intervals(*pair, COVERAGE, balance=balance) for pair in learned]
    logs, true = np.log(samples), np.log(truth)
    result: dict[str, Any] = {"n": len(truth), "nominal": COVERAGE, "by_samples": {}}
    for size in (1, 2, 3, 5, 10, 20):
        if size > samples.shape[1]:
            continue
        ends = np.array([fitted[fold[i]].interval(samples[i, :size]) for i in range(len(truth))])
        inside = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
        row = share_of(inside) | {
            "width": round(float(np.median((ends[:, 1] - ends[:, 0]) / samples[:, :size].mean(1))), 3),
            "below": round(float((truth < ends[:, 0]).mean()), 3),
            "above": round(float((truth > ends[:, 1]).mean()), 3),
            "by_class": {c: share_of(inside[[class_of(n) == c for n in names]]) for c in classes(names)},
        }
        if size > 1:
            spread = logs[:, :size].std(1, ddof=1)
            away = np.abs(logs[:, :size].mean(1) - true)
            row["uncalibrated"] = share_of(away <= NORMAL_80 * spread)
            row["spread_and_error"] = round(float(spearman(spread, away)), 3)
        result["by_samples"][size] = row
    return result


def share_of(inside: np.ndarray) -> dict[str, Any]:
    """Give a share with its interval."""
    hits, count = int(inside.sum()), len(inside)
    return {"coverage": round(hits / count, 3), "interval": wilson(hits, count), "n": count}


def classes(names: list[str]) -> list[str]:
    """Every class once."""
    return sorted(set(map(class_of, names)))


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation."""
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)


def voxels(drawn: dict[str, np.ndarray]) -> dict[str, Any]:
    """Reliability of the share of five samples as a probability, bootstrapped over cells."""
    rng, result = np.random.default_rng(0), {}
    for name, end in (("five", ""), ("one", "_of_one")):
        table, hits = drawn[f"voxels{end}"], drawn[f"hits{end}"]
        pooled = VoxelReliability(table.sum(0), hits.sum(0))
        again = []
        for _ in range(1000):
            chosen = rng.integers(0, len(table), len(table))
            some = VoxelReliability(table[chosen].sum(0), hits[chosen].sum(0))
            again.append((some.brier_score, some.calibration_error))
        low, high = np.quantile(again, [0.025, 0.975], axis=0)
        result[name] = {
            "n": len(table),
            "brier": [round(float(v), 5) for v in (pooled.brier_score, low[0], high[0])],
            "calibration_error": [round(float(v), 4) for v in (pooled.calibration_error, low[1], high[1])],
            "claimed": pooled.probability.round(3).tolist(),
            "observed": pooled.observed.round(3).tolist(),
            "voxels": pooled.voxels.tolist(),
        }
    return result


def unlike(cells: list[Cell], fold: np.ndarray, others: dict[str, list[Cell]]) -> dict[str, Any]:
    """Scores of held-out cells and of others, by folds they were not in (others: the mean of all)."""
    known: list[Familiarity] = []
    for k in range(NUM_FOLDS):
        fitted = fit_familiarity([cell for cell, own in zip(cells, fold, strict=True) if own != k])
        assert fitted is not None
        known.append(fitted)
    held_out = np.array([known[fold[i]].unlike(cell) for i, cell in enumerate(cells)])
    table = {"held-out real cells": summary(held_out, None)}
    for kind, group in others.items():
        scores = np.mean([[one.unlike(cell) for cell in group] for one in known], axis=0)
        table[kind] = summary(scores, held_out)
    return table


def summary(scores: np.ndarray, held_out: np.ndarray | None) -> dict[str, Any]:
    """How many are above 1, the quartiles, and the AUROC against held-out cells."""
    hits = int((scores > 1).sum())
    found: dict[str, Any] = {"n": len(scores), "above_1": round(hits / len(scores), 3)}
    found |= {"above_1_interval": wilson(hits, len(scores))}
    found |= {"quartiles": np.quantile(scores, [0.25, 0.5, 0.75]).round(2).tolist()}
    if held_out is not None:
        from scipy.stats import mannwhitneyu

        area = mannwhitneyu(scores, held_out).statistic / len(scores) / len(held_out)
        found["auroc"] = round(float(area), 4)
    return found


def phantoms(count: int) -> dict[str, list[Cell]]:
    """Make new phantoms, by class."""
    from dispr_cli.inputs.phantoms import PHANTOM_CLASSES, as_read, generate_phantoms

    groups: dict[str, list[Cell]] = {}
    for phantom in generate_phantoms(count, PHANTOM_CLASSES, PHANTOM_SEED):
        kind = f"phantom {phantom.name.rsplit('_', 1)[0]}"
        groups.setdefault(kind, []).append(as_read(phantom))
    return groups


def main() -> None:
    """Draw, measure, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("local/folds"), help="folder of the five folds")
    parser.add_argument(
        "--for", dest="shipped", type=Path, required=True, help="weights trained on all cells"
    )
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--drawn", type=Path, default=Path("local"), help="folder for what was drawn")
    parser.add_argument("--non-cells", type=Path, help="folder with stardist/, bbbc007/, blobs/")
    parser.add_argument("--phantoms", type=int, default=90)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/trust.json"))
    args = parser.parse_args()
    cells = load_cells(args.cells)
    sampler, high = (
        SamplerConfig(num_steps=QUALITIES[name].num_steps, spread=QUALITIES[name].spread)
        for name in ("standard", "high")
    )
    fold, names = assign_folds(cells.names, NUM_FOLDS), list(cells.names)
    real = [cells.cell(index) for index in range(len(cells))]

    drawn, drawn_high = draw(cells, args, sampler), draw(cells, args, high)
    spread, spread_high = (
        {what: intervals(one[what], one[f"true_{what}"], fold, names, by.balance) for what in QUANTITIES}
        for one, by in ((drawn, sampler), (drawn_high, high))
    )
    non_cells = drawn_non_cells(real, 50, NON_CELLS_SEED)
    non_cells |= found_non_cells(args.non_cells) if args.non_cells else {}
    grouped = {"all non-cells": [cell for group in non_cells.values() for cell in group], **non_cells}
    scores = unlike(real, fold, {**grouped, **phantoms(args.phantoms)})

    shipped = load_denoiser(args.shipped)
    measured = tuple(
        MeasuredIntervals(
            sampling_settings(DiffusionMethod(shipped, one, choose_device("cpu")).identity()),
            {
                what: fit_intervals(found[what], found[f"true_{what}"], COVERAGE, balance=one.balance)
                for what in QUANTITIES
            },
        )
        for one, found in ((sampler, drawn), (high, drawn_high))
    )
    write_trust(trust_file(args.shipped), Trust(shipped.sha256, measured, fit_familiarity(real)))
    result = {
        "torch": torch.__version__,
        "weights_sha256": {
            f"fold{k}": load_denoiser(args.weights / f"fold{k}.safetensors").sha256 for k in range(NUM_FOLDS)
        },
        "shipped_sha256": shipped.sha256,
        "settings": measured[0].settings,
        "settings_high": measured[1].settings,
        "intervals": spread,
        "intervals_high": spread_high,
        "voxel_probability": voxels(drawn),
        "unlike_training": scores,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    for what, table in spread.items():
        print(what, {size: (row["coverage"], row["width"]) for size, row in table["by_samples"].items()})
    for kind, row in scores.items():
        print(f"{kind}: {row}")


if __name__ == "__main__":
    main()
