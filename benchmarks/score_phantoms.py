"""Score the shipped weights on fresh phantoms of all nine shapes, beside two rules that need no training.

    python -m benchmarks.score_phantoms --cells 180 --seed 9000

The weights saw other phantoms of the same generator, and no real cell of five of the shapes: what is
measured is whether they know the shapes, not whether the simulated microscope is like a real one. Writes
``benchmarks/results/phantoms.json``: means over cells with 95 % bootstrap intervals, of all and each shape.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from benchmarks.score_folds import score, summarise
from dispr_cli.inputs.phantoms import PHANTOM_CLASSES, Phantom, as_read, generate_phantoms
from dispr_cli.method import Method
from dispr_cli.methods import MethodOptions, load_method
from dispr_cli.study.folds import class_of

SAMPLES = 5
METHODS = {
    "dispr": ("dispr", MethodOptions()),
    "inflate": ("inflate", MethodOptions()),
    "ellipsoid full": ("ellipsoid", MethodOptions(variant="full")),
}
SHOWN = ("iou_vote", "volume_error_one", "volume_bias", "surface_error_one", "volume_covered")


def scored(method: Method, phantoms: list[Phantom], samples: int) -> dict[str, Any]:
    """Scores over all phantoms, and over those of each shape."""
    rows = [
        score(phantom.volume, method.reconstruct([as_read(phantom)], samples, seed=0)[0])
        for phantom in phantoms
    ]
    names = [phantom.name for phantom in phantoms]
    by_class = {}
    for one in PHANTOM_CLASSES:
        members = [index for index, name in enumerate(names) if class_of(name) == one]
        found = summarise([rows[index] for index in members], [names[index] for index in members])
        by_class[one] = _shown(found)
    return {"all": _shown(summarise(rows, names)), "by_class": by_class}


def _shown(summary: dict[str, Any]) -> dict[str, Any]:
    kept = {key: {part: summary[key][part] for part in ("mean", "median", "interval")} for key in SHOWN}
    return {"n": summary["n"], **kept}


def main() -> None:
    """Make the phantoms, reconstruct them with every method, score."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=180)
    parser.add_argument("--seed", type=int, default=9000)
    parser.add_argument("--weights", type=Path, help="ours, instead of the shipped ones")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/phantoms.json"))
    args = parser.parse_args()
    phantoms = list(generate_phantoms(args.cells, PHANTOM_CLASSES, args.seed))
    methods = {}
    for title, (name, options) in METHODS.items():
        ours = name == "dispr"
        chosen = MethodOptions(weights=args.weights) if ours else options
        methods[title] = scored(load_method(name, chosen), phantoms, SAMPLES if ours else 1)
        print(title, {key: round(methods[title]["all"][key]["mean"], 3) for key in SHOWN}, flush=True)
    facts = {"torch": torch.__version__, "seed": args.seed}
    args.out.write_text(json.dumps({**facts, "methods": methods}, indent=1) + "\n")


if __name__ == "__main__":
    main()
