"""Keep what ``dispr benchmark-peers`` found, and write its tables.

    dispr benchmark-peers CELLS_DIR OUT --methods ... --weights dispr=FOLDS --weights shapr=FOLDS
    python -m benchmarks.peer_tables OUT/evaluation/summary.json peers --weights dispr=FOLDS ...

The second line writes ``benchmarks/results/peers.json``, with what the weights say of their training;
``benchmarks/tables.py`` makes the tables of docs/benchmarks.md from it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from safetensors import safe_open

from dispr_cli.peers import parse_folders

RESULTS = Path(__file__).parent / "results"
OURS = "dispr"

MEASURES = {
    "vote_iou": ("IoU of the vote", 1.0, "{:.3f}"),
    "iou": ("IoU, one sample", 1.0, "{:.3f}"),
    "vote_volume_error": ("volume error of the vote", 100.0, "{:.1f} %"),
    "volume_error": ("volume error, one sample", 100.0, "{:.1f} %"),
    "surface_error": ("surface error", 100.0, "{:.1f} %"),
    "roughness_error": ("roughness error", 100.0, "{:.1f} %"),
    "mean_curvature_error": ("curvature error", 100.0, "{:.1f} %"),
    "surface_distance": ("surface distance (voxels)", 1.0, "{:.2f}"),
    "relative_fair_crps_volume": ("CRPS of volume", 100.0, "{:.1f} %"),
    "ged_squared": ("GED²", 1.0, "{:.2f}"),
}
"""Score, its title, what it is multiplied by and how it is written."""

BY_CLASS = ("vote_volume_error", "vote_iou")
"""Scores that are told for each class too."""

COMPARED = (
    "vote_iou",
    "iou",
    "vote_volume_error",
    "volume_error",
    "surface_error",
    "surface_distance",
    "relative_fair_crps_volume",
)


def kept(summary: dict[str, Any]) -> dict[str, Any]:
    """Take from a summary what the tables need, and nothing of the machine it was made on."""
    methods = {}
    for name, method in summary["methods"].items():
        scores = {
            score: {
                group: value
                for group, value in method["scores"][score].items()
                if group == "all" or score in BY_CLASS
            }
            for score in MEASURES
        }
        hashes = {
            key: method["configuration"].get(key)
            for key in ("weights_sha256", "held_out_weights", "sampler", "num_steps", "balance")
        }
        methods[name] = {
            "scores": scores,
            "failed": len(method["failed"]),
            "samples_per_cell": method["samples_per_cell"],
            "calibration": method["calibration"]["volume"],
            **{key: value for key, value in hashes.items() if value is not None},
        }
    comparisons = {
        score: [
            pair
            for pair in summary["comparisons"].get(score, [])
            if OURS not in methods or OURS in (pair["first"], pair["second"])
        ]
        for score in COMPARED
    }
    return {
        "version": summary["version"],
        "cells": summary["cells"],
        "classes": summary["classes"],
        "methods": methods,
        "comparisons": comparisons,
    }


def training_facts(folder: Path) -> dict[str, Any]:
    """Read from the weights of all folds on what they were trained, and how."""
    folds = []
    for path in sorted(folder.glob("fold*.safetensors")):
        if ".state." not in path.name:
            with safe_open(path, framework="numpy") as file:
                folds.append(json.loads(file.metadata()["provenance"]))
    first, training = folds[0], folds[0].get("training", {})
    return {
        "folds": len(folds),
        "cells": [fold["cells"] for fold in folds],
        "held_out": [len(fold["held_out"]) for fold in folds],
        "examples": [fold.get("training", {}).get("num_examples") for fold in folds],
        "phantom_share": first.get("phantom_share", 0.0),
        "device": first.get("device"),
        "start": first.get("start"),
        **{key: training.get(key) for key in ("batch_size", "learning_rate", "topology_weight")},
    }


def training_table(name: str) -> str:
    """Tell what each network was trained on, a row for each method with weights."""
    found = json.loads((RESULTS / f"{name}.json").read_text())
    total = found["cells"]
    lines = [
        "| trained, fold by fold | real cells | beside them | examples | batch | rate | begins with | on |",
        "| --- | ---: | --- | ---: | ---: | ---: | --- | --- |",
    ]
    for method, facts in found["training"].items():
        real = [total - held for held in facts["held_out"]]
        phantoms = [cells - own for cells, own in zip(facts["cells"], real, strict=True)]
        beside = (
            f"{max(phantoms)} phantoms ({facts['phantom_share']:.0%} of draws)" if max(phantoms) > 0 else "–"
        )
        start = facts["start"]
        if facts.get("begins_with"):
            begins = facts["begins_with"]
        elif facts["phantom_share"]:
            begins = "phantoms alone"
        else:
            begins = "nothing"
            if start:
                of_whom = "phantoms" if start.get("stage") == "phantoms" else "SHAPR"
                begins = f"{of_whom}, {start['training']['num_examples']:,} examples"
        counts = sorted({*facts["examples"]} - {None})
        examples = " to ".join(f"{count:,}" for count in dict.fromkeys((*counts[:1], *counts[-1:])))
        told = [facts[key] or "–" for key in ("batch_size", "learning_rate")]
        row = [method, f"{min(real)} to {max(real)}", beside, examples or "–", *told, begins]
        lines.append("| " + " | ".join(map(str, [*row, facts["device"] or "–"])) + " |")
    return "\n".join(lines)


def classes_table(name: str) -> str:
    """Volume error and overlap by class: of our vote and of the trained peers' one answer."""
    found = json.loads((RESULTS / f"{name}.json").read_text())
    shown = [method for method in found["methods"] if method.startswith((OURS, "shapr"))]
    lines = [
        "| class (cells) | "
        + " | ".join(f"{method}: volume error, IoU of the vote" for method in shown)
        + " |",
        "| --- |" + " ---: |" * len(shown),
    ]
    for group, cells in {**found["classes"], "all": found["cells"]}.items():
        row = [f"{group} ({cells})"]
        for method in shown:
            scores = found["methods"][method]["scores"]
            error, overlap = (scores[key][group]["mean"] for key in BY_CLASS)
            row.append(f"{100.0 * error:.1f} %, {overlap:.3f}")
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def scores_table(name: str) -> str:
    """Mean ± standard deviation over the cells, a row for each method."""
    found = json.loads((RESULTS / f"{name}.json").read_text())
    titles = [title for title, _, _ in MEASURES.values()]
    lines = [
        f"| n = {found['cells']} | " + " | ".join(titles) + " | coverage (honest) |",
        "| --- |" + " ---: |" * (len(titles) + 1),
    ]
    for method, values in found["methods"].items():
        cells = []
        for score, (_, factor, form) in MEASURES.items():
            over = values["scores"][score]["all"]
            cells.append(f"{form.format(factor * over['mean'])} ± {form.format(factor * over['sd'])}")
        between = zip(values["calibration"]["nominal"], values["calibration"]["observed"], strict=True)
        widest = max(between, default=None)
        spreads = widest is not None and values["calibration"]["spread_skill"] > 0.0
        cells.append(f"{100 * widest[1]:.0f} % ({100 * widest[0]:.0f} %)" if widest and spreads else "–")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def pairs_table(name: str, ours: str = OURS) -> str:
    """Ours minus each other method: difference of the means with its paired 95 % bootstrap interval."""
    found = json.loads((RESULTS / f"{name}.json").read_text())
    others = [method for method in found["methods"] if method != ours]
    titles = [MEASURES[score][0] for score in COMPARED]
    lines = ["| ours minus | " + " | ".join(titles) + " |", "| --- |" + " ---: |" * len(titles)]
    for other in others:
        cells = []
        for score in COMPARED:
            _, factor, _ = MEASURES[score]
            pair = next(p for p in found["comparisons"][score] if {p["first"], p["second"]} == {ours, other})
            sign = factor if pair["first"] == ours else -factor
            low, high = sorted((sign * pair["low"], sign * pair["high"]))
            form = "{:+.1f}" if factor == 100.0 else "{:+.3f}"
            marked = "**" if (low > 0 or high < 0) and pair["adjusted_p_value"] < 0.05 else ""
            values = [form.format(value) for value in (sign * pair["difference"], low, high)]
            cells.append(f"{marked}{values[0]}{marked} ({values[1]} to {values[2]})")
        lines.append(f"| {other} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def peer_tables() -> dict[str, str]:
    """Tables of docs/benchmarks.md by their marks, of the results that are there."""
    tables: dict[str, str] = {}
    for name in ("peers",):
        if (RESULTS / f"{name}.json").exists():
            tables |= {name: scores_table(name), f"{name}_pairs": pairs_table(name)}
            tables[f"{name}_classes"] = classes_table(name)
            if "training" in json.loads((RESULTS / f"{name}.json").read_text()):
                tables |= {f"{name}_training": training_table(name)}
    return tables


def main() -> None:
    """Keep one summary."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("summary", type=Path)
    parser.add_argument("name", help="of the result, such as peers")
    parser.add_argument("--weights", action="append", default=[], metavar="METHOD=FOLDER")
    parser.add_argument(
        "--begins-with",
        action="append",
        default=[],
        metavar="METHOD=WHAT",
        help="where the weights do not say it themselves",
    )
    args = parser.parse_args()
    found = kept(json.loads(args.summary.read_text()))
    folders = parse_folders(args.weights, "--weights")
    found["training"] = {method: training_facts(folder) for method, folder in folders.items()}
    for method, what in (text.split("=", 1) for text in args.begins_with):
        found["training"][method]["begins_with"] = what
    (RESULTS / f"{args.name}.json").write_text(json.dumps(found, indent=1) + "\n")
    print(scores_table(args.name))
    if OURS in found["methods"]:
        print(pairs_table(args.name))


if __name__ == "__main__":
    main()
